from celery import shared_task

from merchants.sync.drift import save_drifts


@shared_task(name="merchants.find_drift")
def find_drift() -> None:
    save_drifts()
