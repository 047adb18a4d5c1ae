"""The health endpoints: is this process alive, and is everything available that it needs?

`live` checks nothing else. `ready` is 503 while any check fails. `health`, by which a gateway decides whether to send
us requests, is 503 only while payments cannot be stored: without Redis they are stored now and issued later.
"""

import threading
import time
from collections.abc import Callable
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.base import crypto
from config.base.ids import written_worker_id
from config.rest import identity

TIMEOUT = 1.0  # seconds for all checks together; they run in parallel
CACHE_SECONDS = 1.0  # for which results are reused
OPTIONAL = {"redis", "jwks"}  # payments are stored without them


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok", "service": settings.SERVICE_CODE})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    results = checks.results()
    return _response(results, 503 if any(results.values()) else 200)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    results = checks.results()
    down = any(problem for name, problem in results.items() if name not in OPTIONAL)
    return _response(results, 503 if down else 200)


def _response(results: dict[str, str], status: int) -> JsonResponse:
    failed = {name for name, problem in results.items() if problem}
    body = {
        "status": "ok" if not failed else "degraded" if failed <= OPTIONAL else "down",
        "service": settings.SERVICE_CODE,
        "embedded": settings.EMBEDDED,
        "checks": {name: {"ok": not problem, "says": problem} for name, problem in results.items()},
    }
    return JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})


class HealthChecks:
    """Runs each check in a separate thread. A thread may hang as long as its server does: no request waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, _CheckThread] = {}
        self._results: dict[str, str] = {}
        self._cached_until = 0.0

    def results(self) -> dict[str, str]:
        """The problem by name of the check; "" if there is none."""
        with self._lock:
            if time.monotonic() > self._cached_until:
                self._results = self._run()
                self._cached_until = time.monotonic() + CACHE_SECONDS
            return self._results

    def _run(self) -> dict[str, str]:
        for name, check in CHECKS.items():
            if name not in self._threads or not self._threads[name].is_alive():
                self._threads[name] = _CheckThread(check)
                self._threads[name].start()
        deadline = time.monotonic() + TIMEOUT
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return {name: thread.problem for name, thread in self._threads.items()}


class _CheckThread(threading.Thread):
    problem = f"No answer within {TIMEOUT:g} s."  # until the check ends

    def __init__(self, check: Callable[[], str]) -> None:
        super().__init__(name="health", daemon=True)
        self.check = check

    def run(self) -> None:
        try:
            self.problem = self.check()
        except Exception as error:  # noqa: BLE001  (a broken check is a problem too; its message may hold secrets)
            self.problem = f"The check itself failed: {type(error).__name__}."
        finally:
            connection.close()  # of this thread


checks = HealthChecks()


def check_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"PostgreSQL does not answer: {type(error).__name__}."
    return ""


def check_migrations() -> str:
    """Do the tables belong to this release, and is the worker id of the database ours?"""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
        written = written_worker_id()
    except DatabaseError:
        return "Unknown: PostgreSQL does not answer."
    if missing := sorted(release_migrations() - applied):
        return f"{len(missing)} migrations are not applied, first {'.'.join(missing[0])}. Run: manage.py migrate"
    if written != settings.WORKER_ID:
        return f"The database makes ids as worker {written}, this process is worker {settings.WORKER_ID}."
    return ""


@cache
def release_migrations() -> set[tuple[str, str]]:
    """The migrations of this release."""
    return set(MigrationLoader(None).disk_migrations)


def check_secrets() -> str:
    """Can a secret be encrypted and decrypted, and can both webhook routes be verified?"""
    if crypto.decrypt(crypto.encrypt("x", "health"), "health") != "x":
        return "APP_ENV_INVOICE_CREDENTIALS_KEY does not decrypt what it encrypted."
    without = [route for route, secrets in settings.WEBHOOK_SECRETS.items() if not secrets]
    return f"The webhook route {without[0]} has no secret: all of its events are refused." if without else ""


def check_redis() -> str:
    timeouts = {"socket_timeout": TIMEOUT / 2, "socket_connect_timeout": TIMEOUT / 2}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **timeouts) as client:
            client.ping()
    except redis.RedisError as error:
        return f"Redis does not answer: {type(error).__name__}. Payments are stored and issued when it is back."
    return ""


CHECKS: dict[str, Callable[[], str]] = {  # each returns the problem, or "" if there is none
    "database": check_database,
    "migrations": check_migrations,
    "secrets": check_secrets,
    "redis": check_redis,
    "jwks": identity.check_identity,
}
