"""The run modes: the command line of each of our processes. `manage.py run` runs one.

Production, `make dev`, the demo, the chaos tests and the benchmark all use these commands.
"""

import sys

from django.conf import settings

SEEDS = ("admin_units", "legal_rules", "configurations", "permissions", "webhooks")


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def api(port: int, host: str = "127.0.0.1") -> list[str]:
    return [
        sys.executable, "-m", "granian", "config.wsgi:application", "--interface", "wsgi", "--host", host,
        "--port", str(port), "--workers", str(settings.API_PROCESSES), "--blocking-threads", str(settings.API_THREADS),
        "--no-ws", "--log-level", "warning", "--log-config", str(settings.ROOT / "config" / "granian.json"),
    ]  # fmt: skip


def worker(name: str, *queues: str) -> list[str]:
    # --pool solo: a prefork child gets no SIGTERM, and the pump must finish the calls that it has open.
    return [
        sys.executable, "-m", "celery", "--quiet", "-A", "config", "worker", "--pool", "solo",
        "--queues", ",".join(queues), "--hostname", f"{name}@%h", "--loglevel", "warning",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip


def beat() -> list[str]:
    return [sys.executable, "-m", "celery", "--quiet", "-A", "config", "beat", "--pidfile", "", "--loglevel", "warning"]


def consumer() -> list[str]:
    return manage("follow_merchants")
