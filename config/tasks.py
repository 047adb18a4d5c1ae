from celery import shared_task

from config import tallies


@shared_task(name="config.forget_tallies")
def forget_tallies() -> None:
    tallies.forget()
