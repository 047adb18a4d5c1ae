"""`manage.py dev`: server, worker, consumer and beat, each restarted when code changes."""

import shlex
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.processes.run_modes import beat, consumer, manage, worker
from invoices.dev.demo.processes import Processes

WATCHED = ("config", "merchants", "invoices", "webhooks", "claims")


class Command(BaseCommand):
    help = "Run server, worker, consumer and beat with reload until Ctrl-C, for development. Logs: .local/dev/."

    def handle(self, *_: Any, **__: Any) -> None:
        if not settings.DEVELOPMENT:
            raise CommandError("This is for development. For production see deploy/.")
        for number in (signal.SIGINT, signal.SIGTERM):  # even if the shell made this process ignore Ctrl-C
            signal.signal(number, signal.default_int_handler)
        folder = settings.LOCAL / "dev"
        with Processes(folder) as processes:
            try:
                processes.start("api", *manage("runserver", f"127.0.0.1:{settings.PORT}"))
                processes.start("worker", *reloading(worker("dev", *settings.QUEUES)))
                processes.start("merchants", *reloading(consumer()))
                processes.start("beat", *beat())
                processes.wait_for("api", f"http://127.0.0.1:{settings.PORT}/admin/login/")
                self.stdout.write(f"{settings.PUBLIC_URL}/admin/   logs: {folder}/   Ctrl-C stops all")
                signal.pause()
            except KeyboardInterrupt:
                self.stdout.write("Stopping …")


def reloading(command: list[str]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "watchfiles",
        "--sigint-timeout",
        "20",
        "--filter",
        "python",
        shlex.join(command),
        *WATCHED,
    ]
