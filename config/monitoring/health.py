"""Are we alive, and is everything there that we need? For gateways, orchestrators and people.

`live` asks nobody. `ready` is 503 while anything is missing. `health`, by which a gateway decides whether to send us
requests, is 503 only for what no payment can be stored without: with Redis away they are stored and issued later.
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

PATIENCE = 1.0  # seconds for all checks together; they run side by side
FRESH = 1.0  # seconds: whoever asks oftener is told the same again
SPARED = {"redis", "jwks"}  # payments are stored without them


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok", "service": settings.SERVICE_CODE})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    found = checks.read()
    return _answer(found, 503 if any(found.values()) else 200)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    found = checks.read()
    return _answer(found, 503 if any(says for name, says in found.items() if name not in SPARED) else 200)


def _answer(found: dict[str, str], status: int) -> JsonResponse:
    missing = {name for name, says in found.items() if says}
    body = {
        "status": "ok" if not missing else "degraded" if missing <= SPARED else "down",
        "service": settings.SERVICE_CODE,
        "embedded": settings.EMBEDDED,
        "checks": {name: {"ok": not says, "says": says} for name, says in found.items()},
    }
    return JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})


class Checks:
    """Each in a thread of its own, which may hang for as long as its server does: nobody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._found: dict[str, str] = {}
        self._until = 0.0

    def read(self) -> dict[str, str]:
        """What is wrong, by check; "" where nothing is."""
        with self._lock:
            if time.monotonic() > self._until:
                self._found = self._ask()
                self._until = time.monotonic() + FRESH
            return self._found

    def _ask(self) -> dict[str, str]:
        for name, check in CHECKS.items():
            if name not in self._asked or not self._asked[name].is_alive():
                self._asked[name] = _Asked(check)
                self._asked[name].start()
        end = time.monotonic() + PATIENCE
        for asked in self._asked.values():
            asked.join(max(0.0, end - time.monotonic()))
        return {name: asked.says for name, asked in self._asked.items()}


class _Asked(threading.Thread):
    says = f"No answer within {PATIENCE:g} s."

    def __init__(self, check: Callable[[], str]) -> None:
        super().__init__(name="health", daemon=True)
        self.check = check

    def run(self) -> None:
        try:
            self.says = self.check()
        except Exception as error:  # noqa: BLE001  (a check that breaks is something wrong; its words may hold secrets)
            self.says = f"The check itself failed: {type(error).__name__}."
        finally:
            connection.close()  # this thread's own


checks = Checks()


def database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"PostgreSQL does not answer: {type(error).__name__}."
    return ""


def migrations() -> str:
    """Are the tables those of this release, and the ids those of this process?"""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
        written = written_worker_id()
    except DatabaseError:
        return "Unknown: PostgreSQL does not answer."
    if missing := sorted(wanted() - applied):
        return f"{len(missing)} migrations are not applied, {'.'.join(missing[0])} first. Run: manage.py migrate"
    if written != settings.WORKER_ID:
        return f"The database makes ids as worker {written}, this process is worker {settings.WORKER_ID}."
    return ""


@cache
def wanted() -> set[tuple[str, str]]:
    """The migrations of this release."""
    return set(MigrationLoader(None).disk_migrations)


def secrets() -> str:
    """Can a secret be sealed and opened, and can both routes of webhooks be verified?"""
    if crypto.unseal(crypto.seal("x", "health"), "health") != "x":
        return "APP_ENV_INVOICE_CREDENTIALS_KEY opens nothing."
    silent = [route for route, held in settings.WEBHOOK_SECRETS.items() if not held]
    return f"No secret for the webhook route {silent[0]}: all of its events are refused." if silent else ""


def check_redis() -> str:
    patience = {"socket_timeout": PATIENCE / 2, "socket_connect_timeout": PATIENCE / 2}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **patience) as client:
            client.ping()
    except redis.RedisError as error:
        return f"Redis does not answer: {type(error).__name__}. Payments are stored and issued when it is back."
    return ""


CHECKS: dict[str, Callable[[], str]] = {  # what must be there, and what finds out
    "database": database,
    "migrations": migrations,
    "secrets": secrets,
    "redis": check_redis,
    "jwks": identity.health,
}
