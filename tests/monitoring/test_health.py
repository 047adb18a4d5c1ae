"""Alive, ready, healthy: what each asks, and what each says where something is missing."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from config.monitoring import health
from config.processes import heartbeat
from config.processes.shutdown import ShutdownFlag

LIVE, READY, HEALTH = "/v1/api/health/live", "/v1/api/health/ready", "/v1/api/health"


@pytest.fixture(autouse=True)
def nobody_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "checks", health.HealthChecks())
    monkeypatch.setattr(health, "PATIENCE", 30.0)  # but where a hanging check is what the test is about


@pytest.mark.django_db
def test_with_everything_there_all_three_say_so(client: Client) -> None:
    assert client.get(LIVE).json() == {"status": "ok", "service": "SVC-00150-INVOICE"}
    for path in (READY, HEALTH):
        answer = client.get(path)
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
        checks = dict.fromkeys(["database", "migrations", "secrets", "redis", "jwks"], {"ok": True, "says": ""})
        assert answer.json() == {"status": "ok", "service": "SVC-00150-INVOICE", "embedded": True, "checks": checks}


def test_live_asks_nobody(client: Client) -> None:
    """Without the mark, pytest-django fails whoever asks the database."""
    assert client.get(LIVE).status_code == 200


@pytest.mark.django_db
def test_without_redis_it_is_not_ready_and_takes_payments_all_the_same(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    ready, gateway = client.get(READY), client.get(HEALTH)
    assert (ready.status_code, gateway.status_code) == (503, 200)
    assert ready.json() == gateway.json() and ready.json()["status"] == "degraded"
    assert ready.json()["checks"]["redis"] == {
        "ok": False,
        "says": "Redis does not answer: ConnectionError. Payments are stored and issued when it is back.",
    }


@pytest.mark.django_db
def test_what_no_payment_can_be_stored_without_is_503_for_the_gateway_too(client: Client, settings: Any) -> None:
    settings.WEBHOOK_SECRETS = {**settings.WEBHOOK_SECRETS, "merchant": {}}
    answer = client.get(HEALTH)
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert "merchant" in answer.json()["checks"]["secrets"]["says"]


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_named_and_so_is_a_stranger_s_database(settings: Any) -> None:
    assert health.check_migrations() == ""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'invoices' AND name = '0002_sql'")
    assert health.check_migrations().startswith("1 migrations are not applied, invoices.0002_sql first.")
    health.release_migrations.cache_clear()
    settings.WORKER_ID = 77
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('invoices', '0002_sql', now())")
    assert "this process is worker 77" in health.check_migrations()


@pytest.mark.django_db
def test_an_identity_service_that_was_never_heard_is_missed(client: Client, settings: Any) -> None:
    from config.rest.identity import verifier

    settings.JWKS_URL = "http://127.0.0.1:9/jwks.json"
    verifier.cache_clear()
    try:
        answer = client.get(READY)
    finally:
        verifier.cache_clear()
    assert answer.status_code == 503 and "JWKS_URL" in answer.json()["checks"]["jwks"]["says"]


def test_a_check_that_hangs_is_told_within_a_second_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    hung, asked, before = threading.Event(), [], threading.active_count()
    monkeypatch.setattr(health, "PATIENCE", 1.0)
    monkeypatch.setattr(health, "secrets", lambda: asked.append(1) or "" if hung.wait(60) else "")
    monkeypatch.setattr(health, "CHECKS", {"hangs": health.check_secrets, "well": well})
    read = health.HealthChecks().read
    found = read()
    assert found == {"hangs": "No answer within 1 s.", "well": ""}
    assert threading.active_count() <= before + 1  # the one that hangs
    hung.set()


def well() -> str:
    return ""


def test_a_check_that_breaks_says_how_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"broken": broken})
    assert health.HealthChecks().read() == {"broken": "The check itself failed: ValueError."}


def broken() -> str:
    raise ValueError("postgresql://hoadon:secret@db")


def test_whoever_asks_oftener_than_once_a_second_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"counted": counted})
    checks = health.HealthChecks()
    assert {checks.read()["counted"] for _ in range(50)} == {"1"}


_calls: list[int] = []


def counted() -> str:
    _calls.append(1)
    return str(len(_calls))


# --- Processes without HTTP -------------------------------------------------------------------------------------------


def probe(folder: Path, part: str = "worker") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "config/processes/heartbeat.py", part]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOADON_ALIVE": str(folder)})


def test_a_process_that_gets_on_is_alive_and_one_that_falls_silent_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    monkeypatch.setattr(heartbeat, "_touched", float("-inf"))
    assert probe(tmp_path).returncode == 1, "nobody has ever given a sign"
    ShutdownFlag("worker").is_set()
    assert probe(tmp_path).returncode == 0
    assert probe(tmp_path, "beat").returncode == 1
    [sign] = tmp_path.iterdir()
    os.utime(sign, (time.time() - heartbeat.SILENT - 1,) * 2)
    told = probe(tmp_path)
    assert told.returncode == 1 and re.search(rf"worker {os.getpid()}: 3\d\d s ago", told.stdout)


def test_what_a_dead_process_left_is_no_sign_of_life(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"worker-{gone.pid}").touch()
    assert probe(tmp_path).returncode == 1 and not list(tmp_path.iterdir())
