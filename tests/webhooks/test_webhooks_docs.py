"""docs/webhooks.md: its receiver and its session run exactly as they are written there."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connections
from standardwebhooks.webhooks import Webhook

from invoices.dev.demo.processes import free_port
from tests.webhooks.test_outbound_events import validate
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound.deliveries import deliver_due
from webhooks.outbound.events import TEST, TYPES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def delivering(transactional_db: None) -> Iterator[None]:
    ended = threading.Event()

    def deliver() -> None:
        while not ended.wait(0.05):
            deliver_due()
        connections.close_all()

    thread = threading.Thread(target=deliver)
    thread.start()
    yield
    ended.set()
    thread.join(30)


@pytest.mark.django_db(transaction=True)
def test_the_session_of_a_receiver_runs_as_written(
    live_server: Any, real_clock: None, delivering: None, tmp_path: Path
) -> None:
    port = str(free_port(31150))
    receiver = tmp_path / "receiver.py"
    receiver.write_text(blocks("python")[0].replace("31150", port).replace("seen.db", str(tmp_path / "seen.db")))
    script = "trap 'kill $(jobs -p) || true' EXIT\n" + "\n".join(blocks("sh"))
    replacements = {
        "http://127.0.0.1:31140": live_server.url,
        "31150": port,
        "receiver.py": str(receiver),
        ".venv/bin/python": sys.executable,
    }
    for written, here in replacements.items():
        script = script.replace(written, here)
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("webhook.test\n") == 3, done.stdout  # a repetition with the same id is ignored
    counts = re.findall(r'\{"acted":(\w+),"count":(\d+)\}', done.stdout)
    assert counts == [("false", "3"), ("true", "3")], done.stdout
    row = WebhookEndpoint.objects.get()
    assert row.deleted_at and [secret.label for secret in row.secrets] == ["2026-12", "1"]
    assert WebhookDelivery.objects.count() == 3


def test_the_signature_by_hand_equals_the_librarys() -> None:
    (script,) = blocks("bash")
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    secret = re.search(r"SECRET=(\S+)", script)
    assert secret
    at = datetime.fromtimestamp(1795399205, UTC)
    assert printed == Webhook(secret[1]).sign("test-1", at, '{"type": "webhook.test"}')
    assert f"`{printed}`" in PAGE


def test_the_sample_matches_the_contract() -> None:
    validate(json.loads(blocks("json")[0]))


def test_every_type_and_every_step_is_on_the_page() -> None:
    table = set(re.findall(r"`((?:invoice|webhook)\.\w+)`", PAGE))
    assert {*TYPES, TEST} <= table
    units = {"s": 1, "min": 60, "h": 3600}
    schedule = re.search(r"again after (.*?) \(up to a tenth", PAGE)
    assert schedule
    steps = [float(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", schedule[1])]
    assert steps == configured.WEBHOOK_STEPS
    assert f"within {configured.WEBHOOK_TIMEOUT:.0f} seconds" in PAGE
    assert f"{configured.WEBHOOK_IN_FLIGHT} calls at the same time" in PAGE
