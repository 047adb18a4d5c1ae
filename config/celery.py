"""The Celery application. It wakes workers and runs the schedule; PostgreSQL is the queue."""

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
def _keep_logging(**_: Any) -> None:
    """A receiver of this signal keeps Celery from installing its own log handlers."""


@signals.celeryd_after_setup.connect
def _start_worker(**_: Any) -> None:
    _serve_as("worker")


@signals.worker_ready.connect
def _beat_while_idle(sender: Any, **_: Any) -> None:
    sender.timer.call_repeatedly(heartbeat.IDLE_INTERVAL, heartbeat.beat, ("worker",))


@signals.beat_init.connect
def _start_beat(**_: Any) -> None:
    _serve_as("beat")
    # Before publishing: without Redis it keeps trying, and is alive.
    signals.before_task_publish.connect(lambda **_: heartbeat.beat("beat"), weak=False)


def _serve_as(role: str) -> None:
    from config.base.logging import serve_as

    serve_as(role)
    heartbeat.beat(role)  # a restarted container would find its old heartbeat


@signals.task_prerun.connect
def _bind_context(task_id: str, task: Task, **_: Any) -> None:
    clear_contextvars()
    bind_contextvars(request=task_id, task=task.name)


@signals.task_postrun.connect
def _clear_context(**_: Any) -> None:
    clear_contextvars()
