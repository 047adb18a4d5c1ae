"""The health endpoints: what each checks, and what it reports when a check fails; the heartbeats."""

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
def without_cached_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "checks", health.HealthChecks())
    monkeypatch.setattr(health, "TIMEOUT", 30.0)  # for a busy machine


@pytest.mark.django_db
def test_all_three_are_ok_when_all_checks_pass(client: Client) -> None:
    assert client.get(LIVE).json() == {"status": "ok", "service": "SVC-00150-INVOICE"}
    for path in (READY, HEALTH):
        answer = client.get(path)
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
        checks = dict.fromkeys(["database", "migrations", "secrets", "redis", "jwks"], {"ok": True, "says": ""})
        assert answer.json() == {"status": "ok", "service": "SVC-00150-INVOICE", "embedded": True, "checks": checks}


def test_live_checks_nothing(client: Client) -> None:
    """Without the mark django_db a query would fail."""
    assert client.get(LIVE).status_code == 200


@pytest.mark.django_db
def test_without_redis_it_is_not_ready_but_healthy(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    ready, gateway = client.get(READY), client.get(HEALTH)
    assert (ready.status_code, gateway.status_code) == (503, 200)
    assert ready.json() == gateway.json() and ready.json()["status"] == "degraded"
    assert ready.json()["checks"]["redis"] == {
        "ok": False,
        "says": "Redis does not answer: ConnectionError. Payments are stored and issued when it is back.",
    }


@pytest.mark.django_db
def test_it_is_unhealthy_if_payments_cannot_be_stored(client: Client, settings: Any) -> None:
    settings.WEBHOOK_SECRETS = {**settings.WEBHOOK_SECRETS, "merchant": {}}
    answer = client.get(HEALTH)
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert "merchant" in answer.json()["checks"]["secrets"]["says"]


@pytest.mark.django_db
def test_a_missing_migration_and_a_wrong_worker_id_are_named(settings: Any) -> None:
    assert health.check_migrations() == ""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'invoices' AND name = '0002_sql'")
    assert health.check_migrations().startswith("1 migrations are not applied, first invoices.0002_sql.")
    health.release_migrations.cache_clear()
    settings.WORKER_ID = 77
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('invoices', '0002_sql', now())")
    assert "this process is worker 77" in health.check_migrations()


@pytest.mark.django_db
def test_without_a_key_set_it_is_not_ready(client: Client, settings: Any) -> None:
    from config.rest.identity import verifier

    settings.JWKS_URL = "http://127.0.0.1:9/jwks.json"
    verifier.cache_clear()
    try:
        answer = client.get(READY)
    finally:
        verifier.cache_clear()
    assert answer.status_code == 503 and "JWKS_URL" in answer.json()["checks"]["jwks"]["says"]


def test_a_check_that_hangs_is_reported_within_a_second_and_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    released, before = threading.Event(), threading.active_count()
    monkeypatch.setattr(health, "TIMEOUT", 1.0)
    monkeypatch.setattr(health, "CHECKS", {"hangs": lambda: str(released.wait(60)), "passes": lambda: ""})
    assert health.HealthChecks().results() == {"hangs": "No answer within 1 s.", "passes": ""}
    assert threading.active_count() <= before + 1  # the one that hangs
    released.set()


def test_a_check_that_raises_reports_only_the_class_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"broken": broken})
    assert health.HealthChecks().results() == {"broken": "The check itself failed: ValueError."}


def broken() -> str:
    raise ValueError("postgresql://hoadon:secret@db")


def test_results_are_reused_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"counted": counted})
    checks = health.HealthChecks()
    assert {checks.results()["counted"] for _ in range(50)} == {"1"}


_calls: list[int] = []


def counted() -> str:
    _calls.append(1)
    return str(len(_calls))


# --- Processes without HTTP -------------------------------------------------------------------------------------------


def probe(folder: Path, role: str = "worker") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "config/processes/heartbeat.py", role]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOADON_ALIVE": str(folder)})


def test_the_probe_passes_for_a_fresh_heartbeat_and_fails_for_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    monkeypatch.setattr(heartbeat, "_touched", float("-inf"))
    assert probe(tmp_path).returncode == 1, "no heartbeat yet"
    ShutdownFlag("worker").is_set()
    assert probe(tmp_path).returncode == 0
    assert probe(tmp_path, "beat").returncode == 1
    [heartbeat_file] = tmp_path.iterdir()
    os.utime(heartbeat_file, (time.time() - heartbeat.MAX_AGE - 1,) * 2)
    old = probe(tmp_path)
    assert old.returncode == 1 and re.search(rf"worker {os.getpid()}: 3\d\d s ago", old.stdout)


def test_the_heartbeat_of_a_dead_process_does_not_count(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"worker-{gone.pid}").touch()
    assert probe(tmp_path).returncode == 1 and not list(tmp_path.iterdir())
