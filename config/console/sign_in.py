"""Sign-in to the console, limited against password guessing: some attempts per user name and per address, then a wait.

The counts are in PostgreSQL, so they are shared by all processes and survive a flush of Redis. An attempt is counted
before the password is checked: a hundred parallel guesses are a hundred attempts.
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
INSERT INTO config_signintries (key, tries, until) SELECT key, 1, %(until)s FROM unnest(%(keys)s::text[]) AS key
ON CONFLICT (key) DO UPDATE SET tries = config_signintries.tries + 1
RETURNING tries, until
"""


class SignIn(AdminAuthenticationForm):
    @sensitive_variables()
    def clean(self) -> dict[str, object]:
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        assert self.request is not None  # the view sets it
        name, address = _keys(self.cleaned_data["username"], address_of(self.request))
        if minutes := _minutes_to_wait([name, address]):
            log.warning("[signInThrottled]", name_fingerprint=name, address_fingerprint=address)
            wait = f"{minutes} minutes" if minutes > 1 else "a minute"
            raise ValidationError(f"Too many failed sign-ins. Please wait {wait} and try again.", code="throttled")
        cleaned = super().clean()  # raises ValidationError for a wrong password
        _clear_tries(name, address)
        return cleaned


def address_of(request: HttpRequest) -> str:
    """The client's address. Behind the gateway: the last in X-Forwarded-For, because clients can forge the others."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.SECURE_PROXY_SSL_HEADER:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a unix socket has none
        return address
    # One customer of an internet provider has 2**64 IPv6 addresses.
    return str(ip if ip.version == 4 else ipaddress.ip_network((ip, 64), strict=False))


def _minutes_to_wait(keys: list[str]) -> int:
    """Count one attempt for each key. Returns the minutes to wait, rounded up; 0 if the sign-in may go on."""
    until = clock.now() + timedelta(seconds=settings.LOGIN_WAIT)
    SignInTries.objects.filter(until__lte=clock.now()).delete()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"keys": sorted(keys), "until": until})
        ends = [until for tries, until in cursor.fetchall() if tries > settings.LOGIN_TRIES]
    now = clock.now()
    return max((-((now - until) // timedelta(minutes=1)) for until in ends), default=0)


def _clear_tries(name: str, address: str) -> None:
    """After a success: clear the name. The address keeps its earlier failures, which may be of other names."""
    SignInTries.objects.filter(key=name).delete()
    SignInTries.objects.filter(key=address).update(tries=F("tries") - 1)


def _keys(name: str, address: str) -> tuple[str, str]:
    # Fingerprints, because people sometimes type their password as the user name.
    return crypto.fingerprint(f"name {name.strip().casefold()}"), crypto.fingerprint(f"address {address}")
