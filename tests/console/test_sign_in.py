"""Sign-in to the console: five failures, then a wait."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from config.base import clock
from config.console.sign_in import address_of
from config.models import SignInTries

LOGIN = "/admin/login/"
HERE, THERE = "203.0.113.7", "203.0.113.8"


@pytest.fixture
def mai(db: None) -> User:
    return User.objects.create_superuser("mai", password="right")


def sign_in(name: str, password: str, address: str = HERE) -> Any:
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


def is_signed_in(response: Any) -> bool:
    return response.status_code == 302 and "sessionid" in response.cookies


def must_wait(response: Any) -> bool:
    return "Too many failed sign-ins. Please wait 15 minutes" in response.content.decode()


def test_five_failures_of_a_name_lock_it_for_all_addresses(mai: User) -> None:
    for at in range(5):
        assert not must_wait(sign_in("Mai " if at % 2 else "mai", "wrong", f"198.51.100.{at}"))
    assert must_wait(sign_in("mai", "right", THERE))


def test_five_failures_from_an_address_lock_it_for_all_names(mai: User) -> None:
    for at in range(5):
        assert not must_wait(sign_in(f"nobody-{at}", "wrong"))
    assert must_wait(sign_in("mai", "right"))
    assert is_signed_in(sign_in("mai", "right", THERE))


def test_after_the_wait_the_right_password_is_accepted(mai: User, settings: Any) -> None:
    for _ in range(6):
        sign_in("mai", "wrong")
    with clock.frozen(clock.now() + timedelta(seconds=settings.LOGIN_WAIT + 1)):
        assert is_signed_in(sign_in("mai", "right"))
        assert not SignInTries.objects.filter(tries__gt=0).exists()


def test_another_try_does_not_extend_the_wait(mai: User) -> None:
    began = clock.now()
    for minutes in range(0, 14):
        with clock.frozen(began + timedelta(minutes=minutes)):
            sign_in("mai", "wrong")
    with clock.frozen(began + timedelta(minutes=14, seconds=1)):
        assert "Please wait a minute and" in sign_in("mai", "right").content.decode()
    with clock.frozen(began + timedelta(minutes=15)):
        assert is_signed_in(sign_in("mai", "right"))


def test_a_right_password_clears_its_name_but_not_the_address_s_failures_with_other_names(mai: User) -> None:
    for at in range(4):
        sign_in(f"nobody-{at}", "wrong")
    assert is_signed_in(sign_in("mai", "right"))
    sign_in("nobody-5", "wrong")
    assert must_wait(sign_in("mai", "right"))


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_one_by_one() -> None:
    User.objects.create_superuser("mai", password="right")
    waits: list[bool] = []
    start = threading.Barrier(12)

    def guess(at: int) -> None:
        start.wait()
        waits.append(must_wait(sign_in("mai", "wrong", f"198.51.100.{at}")))
        connection.close()

    threads = [threading.Thread(target=guess, args=(at,)) for at in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(waits) == [False] * 5 + [True] * 7


def test_neither_names_nor_addresses_are_stored_or_logged(mai: User, caplog: Any) -> None:
    for _ in range(6):
        sign_in("a-password-typed-too-early", "wrong")
    stored = str(list(SignInTries.objects.values()))
    assert "[signInThrottled]" in caplog.text
    for text in (stored, caplog.text):
        assert "too-early" not in text and HERE not in text


def test_an_empty_form_is_not_counted(mai: User) -> None:
    sign_in("", "")
    assert not SignInTries.objects.exists()


@pytest.mark.parametrize(
    ("proxied", "forwarded", "address"),
    [
        (False, "1.2.3.4", HERE),  # any client can send this header
        (True, "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the gateway appends
        (True, "", HERE),
        (True, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_only_the_gateway_s_forwarded_address_is_trusted(
    rf: Any, settings: Any, proxied: bool, forwarded: str, address: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if proxied else None
    request = rf.get("/", headers={"X-Forwarded-For": forwarded} if forwarded else {}, REMOTE_ADDR=HERE)
    assert address_of(request) == address
