import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import WSGIRequestHandler
from django.db import connection
from django.test import TransactionTestCase

from config.base import clock
from config.base.logging import LineFormatter
from invoices import queues
from invoices.dev.simulator import Simulator, running
from invoices.issuing import calls
from invoices.models import LegalRules
from tests import tables, template
from tests.browser import CHROMIUM, chromium

# A slow machine must not fail a property test.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")


settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # PBKDF2 takes half a second each time
WSGIRequestHandler.disable_nagle_algorithm = True  # of live_server: otherwise a response waits 40 ms for an ACK
settings.WHITENOISE_AUTOREFRESH = True  # otherwise each test client reads the whole list of static files

redis_client = redis.Redis.from_url(settings.REDIS_URL)  # the product's client gives up after 0.2 s


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, django_db_blocker: Any) -> None:
    """A worker's database is a copy of the template, if the server has it."""
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [template.DATABASE])
        if cursor.rowcount:
            connection.settings_dict["TEST"]["TEMPLATE"] = template.DATABASE


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        tables.load()
    TransactionTestCase._fixture_teardown = lambda _: tables.empty()


@pytest.fixture(autouse=True)
def legal_rules_not_cached() -> None:
    LegalRules._known_until = 0.0


@pytest.fixture
def real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own clock, for tests with a shell's `date` or a process in production mode."""
    monkeypatch.setattr(clock, "_shift", timedelta(0))
    monkeypatch.setenv("HOADON_CLOCK", "0")


@pytest.fixture(autouse=True)
def clear_wakeups(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("django_db"):
        redis_client.flushdb()
        queues._paused_until = 0.0


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test may connect only to this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    yield


@pytest.fixture
def provider() -> Iterator[Simulator]:
    """A simulated Viettel on a real socket."""
    with running() as simulator:
        yield simulator


@pytest.fixture
def short_delays(settings: Any) -> Iterator[None]:
    """Short settle times, look-up and retry delays."""
    settings.PROVIDER_SETTLE, settings.LOOKUP_STEPS = 0.2, [0.1, 0.2, 0.4]
    settings.RETRY_STEPS = [0.1, 0.1, 0.1]
    forget_limits()
    yield
    forget_limits()


def forget_limits() -> None:
    calls.limit_overrides.cache_clear()
    calls.limits_of.cache_clear()


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """`text` has the lines that stdout would have."""
    caplog.handler.setFormatter(LineFormatter())
    return caplog


@pytest.fixture
def media(settings: Any, tmp_path: Any) -> Any:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def groups(db: None) -> None:
    """The console's user groups with their permissions."""
    call_command("loaddata", "permissions", verbosity=0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with chromium() as browser:
        yield browser
