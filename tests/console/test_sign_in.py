"""The console's door: five failures, then a wait."""

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


def is_in(answer: Any) -> bool:
    return answer.status_code == 302 and "sessionid" in answer.cookies


def waits(answer: Any) -> bool:
    return "Too many failed sign-ins. Please wait 15 minutes" in answer.content.decode()


def test_five_failures_at_a_name_close_it_wherever_they_come_from(mai: User) -> None:
    for at in range(5):
        assert not waits(sign_in("Mai " if at % 2 else "mai", "wrong", f"198.51.100.{at}"))
    assert waits(sign_in("mai", "right", THERE))


def test_five_failures_from_an_address_close_it_for_every_name(mai: User) -> None:
    for at in range(5):
        assert not waits(sign_in(f"nobody-{at}", "wrong"))
    assert waits(sign_in("mai", "right"))
    assert is_in(sign_in("mai", "right", THERE))


def test_after_the_wait_the_right_password_is_taken(mai: User, settings: Any) -> None:
    for _ in range(6):
        sign_in("mai", "wrong")
    with clock.frozen(clock.now() + timedelta(seconds=settings.LOGIN_WAIT + 1)):
        assert is_in(sign_in("mai", "right"))
        assert not SignInTries.objects.filter(tries__gt=0).exists()


def test_trying_again_does_not_lengthen_the_wait(mai: User) -> None:
    began = clock.now()
    for minutes in range(0, 14):
        with clock.frozen(began + timedelta(minutes=minutes)):
            sign_in("mai", "wrong")
    with clock.frozen(began + timedelta(minutes=14, seconds=1)):
        assert "Please wait a minute and" in sign_in("mai", "right").content.decode()
    with clock.frozen(began + timedelta(minutes=15)):
        assert is_in(sign_in("mai", "right"))


def test_a_right_password_clears_its_name_but_not_what_its_address_did_to_others(mai: User) -> None:
    for at in range(4):
        sign_in(f"nobody-{at}", "wrong")
    assert is_in(sign_in("mai", "right"))
    sign_in("nobody-5", "wrong")
    assert waits(sign_in("mai", "right"))


@pytest.mark.django_db(transaction=True)
def test_guesses_that_come_at_once_are_counted_one_by_one() -> None:
    User.objects.create_superuser("mai", password="right")
    answers: list[bool] = []
    start = threading.Barrier(12)

    def guess(at: int) -> None:
        start.wait()
        answers.append(waits(sign_in("mai", "wrong", f"198.51.100.{at}")))
        connection.close()

    threads = [threading.Thread(target=guess, args=(at,)) for at in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == [False] * 5 + [True] * 7


def test_neither_a_name_nor_an_address_is_kept_or_logged(mai: User, caplog: Any) -> None:
    for _ in range(6):
        sign_in("a-password-typed-too-early", "wrong")
    kept = str(list(SignInTries.objects.values()))
    assert "[signInThrottled]" in caplog.text
    for words in (kept, caplog.text):
        assert "too-early" not in words and HERE not in words


def test_an_empty_form_is_no_try(mai: User) -> None:
    sign_in("", "")
    assert not SignInTries.objects.exists()


@pytest.mark.parametrize(
    ("proxied", "forwarded", "address"),
    [
        (False, "1.2.3.4", HERE),  # anybody may write this header
        (True, "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the gateway appends
        (True, "", HERE),
        (True, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_what_the_gateway_says_and_no_one_else(
    rf: Any, settings: Any, proxied: bool, forwarded: str, address: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if proxied else None
    request = rf.get("/", headers={"X-Forwarded-For": forwarded} if forwarded else {}, REMOTE_ADDR=HERE)
    assert address_of(request) == address
