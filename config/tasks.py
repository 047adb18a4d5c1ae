"""Celery tasks of the project itself."""

from celery import shared_task

from config.monitoring import counters


@shared_task(name="config.prune_counters")
def prune_counters() -> None:
    counters.prune()


@shared_task(name="config.fold_counters")
def fold_counters() -> None:
    counters.fold()
