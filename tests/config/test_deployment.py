"""`check --deploy` refuses a configuration that is not safe for production."""

import os
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from config import checks
from config.base import webhook_secrets
from config.settings import ROOT

SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHRlc3RzIHNlY3JldCE="
GOOD = {
    "HOADON_ENV": "production",
    "DEBUG": "false",
    "SECRET_KEY": "T7" * 32 + "abcdefghijklm",
    "SERVICE_CODE": "SVC-00150-INVOICE",
    "PORT": "31140",
    "PUBLIC_URL": "https://invoices.example",
    "ALLOWED_HOSTS": "invoices.example",
    "BEHIND_PROXY": "true",
    "APP_ENV_INVOICE_WORKER_ID": "0",
    "APP_ENV_INVOICE_CREDENTIALS_KEY": "9c" * 32,
    "WEBHOOK_SECRET": f"2026:{SECRET}",
    "WEBHOOK_INTERNAL_SECRET": f"{webhook_secrets.make()} old:{webhook_secrets.make()}",
    "JWKS_URL": "https://identity.example/jwks.json",
    "JWT_ISSUER": "https://identity.example",
    "EMAIL_URL": "smtp+tls://hoadon:password@mail.example:587",
}
DEVELOPMENT = dict(
    line.split("=", 1) for line in (ROOT / ".env.development").read_text().splitlines() if not line.startswith("#")
)


def manage(*command: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "HOADON_CLOCK"}
    given = {name: value for name, value in {**inherited, **environment}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "manage.py", *command],
        env=given, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_a_complete_configuration_passes_without_warnings() -> None:
    result = manage("check", "--deploy", **GOOD)
    assert result.returncode == 0, result.stderr
    assert "hoadon." not in result.stderr and "security." not in result.stderr


def test_a_development_configuration_fails_with_all_problems_at_once() -> None:
    result = manage("check", "--deploy", HOADON_ENV="development", **dict.fromkeys(DEVELOPMENT.keys() - {"HOADON_ENV"}))
    assert result.returncode == 1
    for name in ("HOADON_ENV", "APP_ENV_INVOICE_WORKER_ID", "APP_ENV_INVOICE_CREDENTIALS_KEY", "SECRET_KEY",
                 "WEBHOOK_SECRET", "WEBHOOK_INTERNAL_SECRET", "PUBLIC_URL", "ALLOWED_HOSTS"):  # fmt: skip
        assert f"HINT: Set {name} " in result.stderr, name


def test_a_missing_worker_id_aborts_the_start() -> None:
    result = manage("check", "--deploy", **{**GOOD, "APP_ENV_INVOICE_WORKER_ID": None})
    assert result.returncode != 0
    assert "APP_ENV_INVOICE_WORKER_ID is not set" in result.stderr


PRODUCTION: dict[str, Any] = {
    "ASSUMED": frozenset(),
    "DEVELOPMENT": False,
    "DEBUG": False,
    "SECRET_KEY": GOOD["SECRET_KEY"],
    "SERVICE_CODE": "SVC-00150-INVOICE",
    "PORT": 31140,
    "PUBLIC_URL": "https://invoices.example",
    "ALLOWED_HOSTS": ["invoices.example"],
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
    "CREDENTIALS_KEYS": ["9c" * 32],
    "WEBHOOK_SECRETS": {"merchant": {"1": SECRET}, "internal": {"1": webhook_secrets.make()}},
}


def messages(settings: Any, **changes: Any) -> list[Any]:
    for name, value in {**PRODUCTION, **changes}.items():
        setattr(settings, name, value)
    return [message for check in (checks.check_service_identity, checks.check_secrets, checks.check_exposure)
            for message in check()]  # fmt: skip


def merchant(secret: str) -> dict[str, dict[str, str]]:
    return {**PRODUCTION["WEBHOOK_SECRETS"], "merchant": {"mine": secret}}


@pytest.mark.parametrize(
    ("change", "sets", "says"),
    [
        ({"ASSUMED": frozenset({"APP_ENV_INVOICE_WORKER_ID"})}, "APP_ENV_INVOICE_WORKER_ID", "not set"),
        ({"SERVICE_CODE": "SVC-00050"}, "SERVICE_CODE to SVC-00150-INVOICE", "another service"),
        ({"SERVICE_CODE": "SVC-00050-INVOICE"}, "SERVICE_CODE to SVC-00150-INVOICE", "another service"),
        ({"SERVICE_CODE": "invoice"}, "SERVICE_CODE to SVC-00150-INVOICE", "is malformed"),
        ({"PORT": 1190}, "PORT to 31140", "our old port"),
        ({"PORT": 8000}, "PORT to 31140", "not the one"),
        ({"SECRET_KEY": DEVELOPMENT["SECRET_KEY"]}, "SECRET_KEY", ".env.development"),
        (
            {"CREDENTIALS_KEYS": [DEVELOPMENT["APP_ENV_INVOICE_CREDENTIALS_KEY"].upper()]},
            "APP_ENV_INVOICE_CREDENTIALS_KEY",
            "development",
        ),
        (
            {"CREDENTIALS_KEYS": ["9c" * 32, DEVELOPMENT["APP_ENV_INVOICE_CREDENTIALS_KEY"]]},
            "APP_ENV_INVOICE_CREDENTIALS_KEY_PREVIOUS",
            "development",
        ),
        ({"WEBHOOK_SECRETS": merchant(DEVELOPMENT["WEBHOOK_SECRET"])}, "WEBHOOK_SECRET", "development"),
        ({"WEBHOOK_SECRETS": merchant("whsec_c2hvcnQ=")}, "WEBHOOK_SECRET", "shorter than 24 bytes"),
        (
            {"WEBHOOK_SECRETS": {"merchant": {"a": SECRET}, "internal": {"b": SECRET}}},
            "WEBHOOK_INTERNAL_SECRET",
            "in both",
        ),
        ({"DEVELOPMENT": True}, "HOADON_ENV", "development environment"),
        ({"DEBUG": True}, "DEBUG to false", "internals"),
        ({"PUBLIC_URL": "http://invoices.example"}, "PUBLIC_URL", "unencrypted"),
        ({"SECURE_PROXY_SSL_HEADER": None}, "BEHIND_PROXY", "HSTS"),
        ({"ALLOWED_HOSTS": []}, "ALLOWED_HOSTS", "empty"),
        ({"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS", "any name"),
        ({"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}, "EMAIL_URL", "get no mail"),
    ],
)
def test_each_mistake_is_one_message_that_says_what_to_set(settings: Any, change: Any, sets: str, says: str) -> None:
    (message,) = messages(settings, **change)
    assert message.hint.startswith(f"Set {sets}") and says in message.msg
    assert message.is_serious() or message.id in ("hoadon.W033", "hoadon.W035")
    for value in DEVELOPMENT.values():
        assert len(value) < 20 or value not in str(message)


def test_a_configuration_without_mistakes_has_no_messages(settings: Any) -> None:
    assert messages(settings) == []


@pytest.mark.django_db
def test_identity_prints_the_configuration_without_secrets() -> None:
    output = StringIO()
    call_command("identity", stdout=output)
    lines = dict(line.split(maxsplit=2)[::2] if line.startswith(("service", "worker", "kafka", "public"))
                 else line.split(maxsplit=1) for line in output.getvalue().splitlines())  # fmt: skip
    assert lines["service"] == "SVC-00150-INVOICE"
    assert lines["kafka"] == "SVC-00150-INVOICE_CONSUMER"
    assert lines["port"] == "31140"
    assert lines["worker"] == f"{settings.WORKER_ID} (database: {settings.WORKER_ID})"
    for secret in (settings.SECRET_KEY, *settings.CREDENTIALS_KEYS, *settings.WEBHOOK_SECRETS["internal"].values()):
        assert secret not in output.getvalue()


def test_identity_works_without_a_database_and_shows_no_password() -> None:
    servers = {
        "DATABASE_URL": "postgres://hoadon:pa55word@127.0.0.1:9/invoices",
        "REDIS_URL": "redis://:pa55word@127.0.0.1:9/3",
    }
    result = manage("identity", **GOOD, **servers)
    assert result.returncode == 0, result.stderr
    assert "pa55word" not in result.stdout + result.stderr
    assert "not reached" in result.stdout
    assert "invoices at 127.0.0.1:9" in result.stdout and "3 at 127.0.0.1:9" in result.stdout
