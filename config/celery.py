"""The Celery application: a doorbell and an alarm clock. PostgreSQL is the queue."""

import os
from typing import Any

from celery import Celery, Task, signals
from structlog.contextvars import bind_contextvars, clear_contextvars

from config.processes import heartbeat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("hoadon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def logs_are_ours(**_: Any) -> None:
    """Whoever answers this signal keeps Celery from setting handlers, levels and formats of its own."""


@signals.celeryd_after_setup.connect
def _worker(**_: Any) -> None:
    _serve_as("worker")


@signals.worker_ready.connect
def _idle(sender: Any, **_: Any) -> None:
    sender.timer.call_repeatedly(heartbeat.IDLE, heartbeat.beat, ("worker",))


@signals.beat_init.connect
def _beat(**_: Any) -> None:
    _serve_as("beat")
    # Sent or not: with Redis away it tries on, and is alive.
    signals.before_task_publish.connect(lambda **_: heartbeat.beat("beat"), weak=False)


def _serve_as(part: str) -> None:
    from config.base.logging import serve_as

    serve_as(part)
    heartbeat.beat(part)  # a container that was started again finds its old sign


@signals.task_prerun.connect
def _begin(task_id: str, task: Task, **_: Any) -> None:
    clear_contextvars()
    bind_contextvars(request=task_id, task=task.name)


@signals.task_postrun.connect
def _end(**_: Any) -> None:
    clear_contextvars()
