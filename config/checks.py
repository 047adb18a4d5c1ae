"""System checks: is this process who the database thinks it is, and may it be put before the public?

Django's own warnings about TLS redirects and subdomains are the gateway's business (see SILENCED_SYSTEM_CHECKS).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from config.base import webhook_secrets
from config.base.ids import written_worker_id

UPSTREAM = 31140  # where the gateway looks for us
KNOWN_WRONG_PORT = 1190  # an older registration of ours, which the gateway does not serve
COLLIDING_CODES = {"SVC-00050"}  # numbers that belong to other services
SECRET_BYTES = 24  # the least that Standard Webhooks asks for


@register(Tags.database)
def worker_id_matches(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if not databases or "default" not in databases:
        return []
    written = written_worker_id()
    if written in (None, settings.WORKER_ID):
        return []
    return [
        Error(
            f"The database makes ids as worker {written}, this process is worker {settings.WORKER_ID}.",
            hint="Set APP_ENV_INVOICE_WORKER_ID to the database's number, or run migrate to write the new one.",
            id="hoadon.E001",
        )
    ]


@register(Tags.security, deploy=True)
def identity_is_ours(**_: Any) -> Iterator[CheckMessage]:
    if "APP_ENV_INVOICE_WORKER_ID" in settings.ASSUMED:
        yield Error(
            "The worker id is not set; the development file's was taken.",
            hint="Set APP_ENV_INVOICE_WORKER_ID to a number from 0 to 1023 that no other database has.",
            id="hoadon.E010",
        )
    number = re.match(r"SVC-\d+", settings.SERVICE_CODE)
    if not number or number[0] in COLLIDING_CODES:
        yield Error(
            f'The service code "{settings.SERVICE_CODE}" {"belongs to another service" if number else "is none"}.',
            hint="Set SERVICE_CODE to SVC-00150-INVOICE.",
            id="hoadon.E011",
        )
    if settings.PORT != UPSTREAM:
        known = "is a known mistake" if settings.PORT == KNOWN_WRONG_PORT else "is not where the gateway looks"
        yield Error(f"Port {settings.PORT} {known}.", hint=f"Set PORT to {UPSTREAM}.", id="hoadon.E012")


@register(Tags.security, deploy=True)
def secrets_are_secret(**_: Any) -> Iterator[CheckMessage]:
    public = development_values()
    ring = ["APP_ENV_INVOICE_CREDENTIALS_KEY", "APP_ENV_INVOICE_CREDENTIALS_KEY_PREVIOUS"]
    held = [("SECRET_KEY", settings.SECRET_KEY), *zip(ring, settings.CREDENTIALS_KEYS, strict=False)]
    lists = {"WEBHOOK_SECRET": "merchant", "WEBHOOK_INTERNAL_SECRET": "internal"}
    for name, route in lists.items():
        for label, secret in settings.WEBHOOK_SECRETS[route].items():
            held.append((name, secret))
            if webhook_secrets.size(secret) < SECRET_BYTES:
                yield Error(
                    f"{name}: the secret with the label {label} is shorter than {SECRET_BYTES} bytes.",
                    hint=f"Set {name} to secrets made with: echo whsec_$(openssl rand -base64 32)",
                    id="hoadon.E021",
                )
    for name in dict.fromkeys(name for name, value in held if value.lower() in public):
        how = "echo whsec_$(openssl rand -base64 32)" if name in lists else "openssl rand -hex 32"
        yield Error(
            f"{name} holds a development value, which everybody can read.",
            hint=f"Set {name} to a value of your own, made with: {how}",
            id="hoadon.E020",
        )
    if set(settings.WEBHOOK_SECRETS["merchant"].values()) & set(settings.WEBHOOK_SECRETS["internal"].values()):
        yield Error(
            "A secret is in both WEBHOOK_SECRET and WEBHOOK_INTERNAL_SECRET: merchants could speak as the platform.",
            hint="Set WEBHOOK_INTERNAL_SECRET to secrets that no merchant has.",
            id="hoadon.E022",
        )


@register(Tags.security, deploy=True)
def public_face_is_safe(**_: Any) -> Iterator[CheckMessage]:
    if settings.DEVELOPMENT:
        yield Error("This is the development environment.", hint="Set HOADON_ENV to production.", id="hoadon.E030")
    if settings.DEBUG:
        yield Error("DEBUG shows our insides to everybody.", hint="Set DEBUG to false.", id="hoadon.E031")
    if not settings.PUBLIC_URL.startswith("https://"):
        yield Error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}: claim links and sign-ins would travel in clear.",
            hint="Set PUBLIC_URL to the https address of the gateway.",
            id="hoadon.E032",
        )
    elif not settings.SECURE_PROXY_SSL_HEADER:
        yield Warning(
            "PUBLIC_URL is https, and nothing tells us that a request came by it: HSTS is not sent, "
            "and every sign-in seems to come from the gateway's address.",
            hint="Set BEHIND_PROXY to true where the gateway sets X-Forwarded-Proto and X-Forwarded-For itself.",
            id="hoadon.W033",
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            f"ALLOWED_HOSTS {'takes any name' if settings.ALLOWED_HOSTS else 'is empty: every request is refused'}.",
            hint="Set ALLOWED_HOSTS to the host of PUBLIC_URL, with commas between several.",
            id="hoadon.E034",
        )
    if settings.EMAIL_BACKEND == "django.core.mail.backends.dummy.EmailBackend":
        yield Warning(
            "No mail server is set: buyers who left an e-mail address get nothing.",
            hint="Set EMAIL_URL to smtp+tls://user:password@host:587.",
            id="hoadon.W035",
        )


def development_values(file: Path | None = None) -> set[str]:
    """The keys and secrets of .env.development, in lower case as hex is read in either."""
    lines = (file or settings.ROOT / ".env.development").read_text().lower().splitlines()
    given = (line.partition("=") for line in lines if not line.startswith("#"))
    return {value for name, _, value in given if "key" in name or "secret" in name}
