from celery import shared_task

from config.monitoring import counters


@shared_task(name="config.forget_tallies")
def forget_tallies() -> None:
    counters.forget()


@shared_task(name="config.fold_tallies")
def fold_tallies() -> None:
    counters.fold()
