from celery import shared_task

from config import tallies


@shared_task(name="config.forget_tallies")
def forget_tallies() -> None:
    tallies.forget()


@shared_task(name="config.fold_tallies")
def fold_tallies() -> None:
    tallies.fold()
