"""An invalid environment variable aborts the start with an error that names it."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.base import webhook_secrets
from config.environment import env
from config.settings import ROOT

GOOD = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHRlc3RzIHNlY3JldCE="
Start = Callable[..., str]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Runs the settings with other variables; None unsets one. Returns what is wrong, or ""."""
    development, variables = env.development, dict(env.variables)

    def run(**environment: str | None) -> str:
        for name, value in environment.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        try:
            runpy.run_path(str(ROOT / "config" / "settings.py"))
        except ImproperlyConfigured as error:
            return str(error)
        return ""

    yield run
    env.development, env.variables, env.problems = development, variables, []


def test_a_process_with_invalid_settings_does_not_start() -> None:
    command = [sys.executable, "-c", "import config.settings"]
    environment = {**os.environ, "SWEEP_SECONDS": "-1", "ISSUANCE_PARTITIONS": "0"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode != 0
    assert "SWEEP_SECONDS" in result.stderr and "ISSUANCE_PARTITIONS" in result.stderr


def test_the_settings_of_this_suite_are_valid(start: Start) -> None:
    assert start() == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("APP_ENV_INVOICE_CREDENTIALS_KEY", "ab" * 31 + "a", "exactly 64 hex digits"),
        ("APP_ENV_INVOICE_CREDENTIALS_KEY", "ab" * 32 + "a", "exactly 64 hex digits"),
        ("APP_ENV_INVOICE_CREDENTIALS_KEY", "zz" * 32, "exactly 64 hex digits"),
        ("APP_ENV_INVOICE_WORKER_ID", "1024", "between 0 and 1023"),
        ("ISSUANCE_PARTITIONS", "0", "at least 1"),
        ("SWEEP_SECONDS", "-1", "greater than 0"),
        ("HOADON_ENV", "staging", "production"),
        ("WEBHOOK_SECRET", f"{GOOD} hush", "entry 2"),
        ("WEBHOOK_SECRET", "old:whsec_not=base64", "entry 1"),
        ("WEBHOOK_INTERNAL_SECRET", "whsec_", "entry 1"),
        ("WEBHOOK_INTERNAL_SECRET", f"a:{GOOD} a:{GOOD}", "used twice"),
        ("WEBHOOK_INTERNAL_SECRET", f"two words:{GOOD}", "entry 1"),
        ("WEBHOOK_INTERNAL_SECRET", f"{'x' * 21}:{GOOD}", "a label has"),
    ],
)
def test_an_invalid_value_is_refused_by_name(start: Start, name: str, value: str, says: str) -> None:
    wrong = start(**{name: value})
    assert name in wrong and says in wrong
    if "KEY" in name or "SECRET" in name:
        assert all(entry.rpartition(":")[2] not in wrong for entry in value.split() if entry != "whsec_")


def test_webhook_secrets_have_a_label_or_their_position() -> None:
    assert webhook_secrets.read("X", f"new:{GOOD}  {GOOD}\n old-1:{GOOD}") == {"new": GOOD, "2": GOOD, "old-1": GOOD}
    assert webhook_secrets.read("X", "") == {}


SECRETS = {"SECRET_KEY": "x", "APP_ENV_INVOICE_WORKER_ID": "1", "APP_ENV_INVOICE_CREDENTIALS_KEY": "ab" * 32}


def test_a_moved_clock_is_refused_in_production(start: Start) -> None:
    assert "HOADON_CLOCK" in start(HOADON_ENV="production", HOADON_CLOCK="60", **SECRETS)


def test_production_has_no_default_for_a_secret(start: Start) -> None:
    assert "SECRET_KEY is not set" in start(HOADON_ENV="production", HOADON_CLOCK=None, SECRET_KEY=None)
