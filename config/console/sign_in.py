"""Guessing passwords at the console: some tries a user name and an address, then a wait.

The count is in PostgreSQL, which the console needs anyway, so it holds across processes and a flushed Redis. A try is
counted before the password is looked at: a hundred guesses at once are a hundred tries.
"""

import ipaddress
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from structlog.stdlib import get_logger

from config.base import clock, crypto
from config.models import SignInTries

log = get_logger(__name__)

COUNT = """
INSERT INTO config_signintries (mark, tries, until) SELECT mark, 1, %(until)s FROM unnest(%(marks)s::text[]) AS mark
ON CONFLICT (mark) DO UPDATE SET tries = config_signintries.tries + 1
RETURNING tries, until
"""


class SignIn(AdminAuthenticationForm):
    @sensitive_variables()
    def clean(self) -> dict[str, object]:
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        assert self.request is not None  # the view hands it over
        name, address = _marks(self.cleaned_data["username"], address_of(self.request))
        if minutes := _minutes_to_wait([name, address]):
            log.warning("[signInThrottled]", name_mark=name, address_mark=address)
            wait = f"{minutes} minutes" if minutes > 1 else "a minute"
            raise ValidationError(f"Too many failed sign-ins. Please wait {wait} and try again.", code="throttled")
        cleaned = super().clean()  # raises where the password is wrong
        _forgive(name, address)
        return cleaned


def address_of(request: HttpRequest) -> str:
    """Whence a request came. Behind the gateway: what it wrote last, for all before that may be made up."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.SECURE_PROXY_SSL_HEADER:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # a unix socket has none
        return address
    # One customer of a provider has 2**64 addresses of version 6.
    return str(known if known.version == 4 else ipaddress.ip_network((known, 64), strict=False))


def _minutes_to_wait(marks: list[str]) -> int:
    """Count a try on each mark. 0 where it may go on."""
    until = clock.now() + timedelta(seconds=settings.LOGIN_WAIT)
    SignInTries.objects.filter(until__lte=clock.now()).delete()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"marks": sorted(marks), "until": until})
        ends = [until for tries, until in cursor.fetchall() if tries > settings.LOGIN_TRIES]
    now = clock.now()
    return max((-((now - until) // timedelta(minutes=1)) for until in ends), default=0)  # rounded up


def _forgive(name: str, address: str) -> None:
    """A right password clears its name. The address keeps its failures: they may have been at other names."""
    SignInTries.objects.filter(mark=name).delete()
    SignInTries.objects.filter(mark=address).update(tries=F("tries") - 1)


def _marks(name: str, address: str) -> tuple[str, str]:
    # Fingerprints: people type their passwords where the name belongs.
    return crypto.fingerprint(f"name {name.strip().casefold()}"), crypto.fingerprint(f"address {address}")
