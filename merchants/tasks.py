from celery import shared_task

from merchants.sync import drift


@shared_task(name="merchants.find_drift")
def find_drift() -> None:
    drift.note()
