"""System checks: does the worker id match the database's, and is the configuration safe for production?

Django's own warnings about TLS redirects and subdomains concern the gateway (see SILENCED_SYSTEM_CHECKS).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from config.base import webhook_secrets
from config.base.ids import written_worker_id

GATEWAY_PORT = 31140  # to which the gateway forwards
OLD_PORT = 1190  # an older registration of ours, which the gateway does not serve
FOREIGN_CODES = {"SVC-00050"}  # belong to other services
MIN_SECRET_BYTES = 24  # by Standard Webhooks


@register(Tags.database)
def check_worker_id(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if not databases or "default" not in databases:
        return []
    written = written_worker_id()
    if written in (None, settings.WORKER_ID):
        return []
    return [
        Error(
            f"The database makes ids as worker {written}, but this process is worker {settings.WORKER_ID}.",
            hint="Set APP_ENV_INVOICE_WORKER_ID to the database's number, or run migrate to change it there.",
            id="hoadon.E001",
        )
    ]


@register(Tags.security, deploy=True)
def check_service_identity(**_: Any) -> Iterator[CheckMessage]:
    if "APP_ENV_INVOICE_WORKER_ID" in settings.ASSUMED:
        yield Error(
            "The worker id is not set; the one of .env.development is used.",
            hint="Set APP_ENV_INVOICE_WORKER_ID to a number from 0 to 1023 that no other database has.",
            id="hoadon.E010",
        )
    number = re.match(r"SVC-\d+", settings.SERVICE_CODE)
    if not number or number[0] in FOREIGN_CODES:
        yield Error(
            f'The service code "{settings.SERVICE_CODE}" {"belongs to another service" if number else "is malformed"}.',
            hint="Set SERVICE_CODE to SVC-00150-INVOICE.",
            id="hoadon.E011",
        )
    if settings.PORT != GATEWAY_PORT:
        problem = "is our old port" if settings.PORT == OLD_PORT else "is not the one that the gateway forwards to"
        yield Error(f"Port {settings.PORT} {problem}.", hint=f"Set PORT to {GATEWAY_PORT}.", id="hoadon.E012")


@register(Tags.security, deploy=True)
def check_secrets(**_: Any) -> Iterator[CheckMessage]:
    public = development_values()
    key_ring = ["APP_ENV_INVOICE_CREDENTIALS_KEY", "APP_ENV_INVOICE_CREDENTIALS_KEY_PREVIOUS"]
    secrets = [("SECRET_KEY", settings.SECRET_KEY), *zip(key_ring, settings.CREDENTIALS_KEYS, strict=False)]
    lists = {"WEBHOOK_SECRET": "merchant", "WEBHOOK_INTERNAL_SECRET": "internal"}
    for name, route in lists.items():
        for label, secret in settings.WEBHOOK_SECRETS[route].items():
            secrets.append((name, secret))
            if webhook_secrets.size(secret) < MIN_SECRET_BYTES:
                yield Error(
                    f"{name}: the secret with the label {label} is shorter than {MIN_SECRET_BYTES} bytes.",
                    hint=f"Set {name} to secrets made with: echo whsec_$(openssl rand -base64 32)",
                    id="hoadon.E021",
                )
    for name in dict.fromkeys(name for name, value in secrets if value.lower() in public):
        how = "echo whsec_$(openssl rand -base64 32)" if name in lists else "openssl rand -hex 32"
        yield Error(
            f"{name} has a value from .env.development, which is public.",
            hint=f"Set {name} to a new value, made with: {how}",
            id="hoadon.E020",
        )
    if set(settings.WEBHOOK_SECRETS["merchant"].values()) & set(settings.WEBHOOK_SECRETS["internal"].values()):
        yield Error(
            "A secret is in both WEBHOOK_SECRET and WEBHOOK_INTERNAL_SECRET: merchants could act as the platform.",
            hint="Set WEBHOOK_INTERNAL_SECRET to secrets that no merchant has.",
            id="hoadon.E022",
        )


@register(Tags.security, deploy=True)
def check_exposure(**_: Any) -> Iterator[CheckMessage]:
    if settings.DEVELOPMENT:
        yield Error("This is the development environment.", hint="Set HOADON_ENV to production.", id="hoadon.E030")
    if settings.DEBUG:
        yield Error("DEBUG exposes internals to every visitor.", hint="Set DEBUG to false.", id="hoadon.E031")
    if not settings.PUBLIC_URL.startswith("https://"):
        yield Error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}: claim links and sign-ins would be sent unencrypted.",
            hint="Set PUBLIC_URL to the https address of the gateway.",
            id="hoadon.E032",
        )
    elif not settings.SECURE_PROXY_SSL_HEADER:
        yield Warning(
            "PUBLIC_URL is https, but forwarded headers are not trusted: HSTS is not sent, "
            "and every sign-in seems to come from the gateway's address.",
            hint="Set BEHIND_PROXY to true if the gateway sets X-Forwarded-Proto and X-Forwarded-For itself.",
            id="hoadon.W033",
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            f"ALLOWED_HOSTS {'allows any name' if settings.ALLOWED_HOSTS else 'is empty: every request is refused'}.",
            hint="Set ALLOWED_HOSTS to the host of PUBLIC_URL; separate several with commas.",
            id="hoadon.E034",
        )
    if settings.EMAIL_BACKEND == "django.core.mail.backends.dummy.EmailBackend":
        yield Warning(
            "No mail server is set: buyers who entered an e-mail address get no mail.",
            hint="Set EMAIL_URL to smtp+tls://user:password@host:587.",
            id="hoadon.W035",
        )


def development_values(file: Path | None = None) -> set[str]:
    """The keys and secrets in .env.development, in lower case because hex digits may have either case."""
    lines = (file or settings.ROOT / ".env.development").read_text().lower().splitlines()
    variables = (line.partition("=") for line in lines if not line.startswith("#"))
    return {value for name, _, value in variables if "key" in name or "secret" in name}
