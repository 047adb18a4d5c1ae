"""An invalid environment variable aborts the start with an error that names it."""

import os
import subprocess
import sys

import pytest

from config.base import webhook_secrets

GOOD = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHRlc3RzIHNlY3JldCE="


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import config.settings"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


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
def test_an_invalid_value_is_refused_by_name(name: str, value: str, says: str) -> None:
    result = start(**{name: value})
    assert result.returncode != 0
    assert name in result.stderr and says in result.stderr
    if "KEY" in name or "SECRET" in name:
        assert all(entry.rpartition(":")[2] not in result.stderr for entry in value.split() if entry != "whsec_")


def test_webhook_secrets_have_a_label_or_their_position() -> None:
    assert webhook_secrets.read("X", f"new:{GOOD}  {GOOD}\n old-1:{GOOD}") == {"new": GOOD, "2": GOOD, "old-1": GOOD}
    assert webhook_secrets.read("X", "") == {}


def test_a_moved_clock_is_refused_in_production() -> None:
    secrets = {"SECRET_KEY": "x", "APP_ENV_INVOICE_WORKER_ID": "1", "APP_ENV_INVOICE_CREDENTIALS_KEY": "ab" * 32}
    result = start(HOADON_ENV="production", HOADON_CLOCK="60", **secrets)
    assert result.returncode != 0 and "HOADON_CLOCK" in result.stderr


def test_production_has_no_default_for_a_secret() -> None:
    kept = {k: v for k, v in os.environ.items() if k not in ("SECRET_KEY", "HOADON_CLOCK")}
    command = [sys.executable, "-c", "import config.settings"]
    result = subprocess.run(command, env={**kept, "HOADON_ENV": "production"}, capture_output=True, text=True)
    assert result.returncode != 0 and "SECRET_KEY" in result.stderr
