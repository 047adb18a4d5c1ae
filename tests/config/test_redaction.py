"""Secrets and personal data are put into every logging path; none may be written."""

import asyncio
import base64
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from celery import Celery
from django.db import IntegrityError, connection, transaction
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.stdlib import get_logger

from config.base import tracing
from config.base.logging import LineFormatter, serve_as
from invoices.providers.base import Limits, ProviderError
from invoices.providers.http import Http
from merchants.models import Merchant
from merchants.sync.following import KafkaLog, apply_messages
from merchants.sync.messages import Message
from tests import cast

stdlib, ours = logging.getLogger("somebody.else"), get_logger("invoices.somewhere")


def encoded(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="))


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


token = encoded(24)
shaped = st.one_of(
    st.tuples(encoded(30), encoded(60), encoded(64)).map(lambda parts: "eyJ" + ".".join(parts)),  # a JWT
    encoded(32).map(lambda text: f"whsec_{text}"),
    token,
    token.map(lambda text: f"https://invoice.example.vn/claims/{text}"),
    digits(10),  # tax codes, of a branch too
    st.tuples(digits(10), digits(3)).map("-".join),
    digits(12),  # personal ids
    digits(9).map(lambda text: f"0{text}"),
    st.tuples(digits(3), digits(3), digits(3)).map(lambda parts: "+84 " + " ".join(parts)),
    st.tuples(st.from_regex(r"[a-z]{2,8}\.[a-z]{2,8}", fullmatch=True), digits(2)).map(
        lambda parts: f"{parts[0]}{parts[1]}@gmail.example"
    ),
    st.sampled_from(["Nguyễn Thị Mai", "Trần Đức Bình", "Công ty TNHH Hoa Sen Trắng", "12 Tràng Tiền, Hà Nội"]),
)
anything = st.one_of(shaped, st.sampled_from(["Nguyen Van An", "hunter2 is my password", "Le Loi Street"]))


def arguments(secret: str) -> None:
    stdlib.warning("hello %s of %s", secret, [secret])
    stdlib.warning("hello %(who)s, task %(name)s", {"who": secret, "name": secret, "why": None})
    stdlib.warning("%d of %s", 10**9, secret)  # does not fit once the number is hidden
    ours.warning("hello %s", secret)


def unknown_keys(secret: str) -> None:
    stdlib.warning("hello", extra={"buyer": secret, "headers": {"Authorization": secret}})
    ours.warning("hello", buyer=secret, password=secret, body=secret.encode())


def keys_of_words(secret: str) -> None:
    ours.warning("hello", why=f"it sent {secret}, twice: {secret}", changed=secret)


def keys_of_codes(secret: str) -> None:
    ours.warning(
        "hello", code=secret, reason=secret, actor=f"api:{secret}", error=secret, status=secret, attempt=secret
    )


def sentences(secret: str) -> None:
    stdlib.warning(f"{secret} was not found, neither was x={secret}")
    stdlib.warning(f"future: {ValueError(secret)!r}")


def exceptions(secret: str) -> None:
    for logger in (stdlib, ours):
        try:
            try:
                raise KeyError(secret)
            except KeyError as error:
                raise RuntimeError(f"hello {secret}") from error
        except RuntimeError as error:
            logger.exception("it broke")
            logger.error("it broke: %s", error)


def python_warnings(secret: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        serve_as("test")
        warnings.warn(f"hello {secret}", stacklevel=1)
        serve_as("")


def requests(secret: str) -> None:
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})
    for path in (f"/claims/{secret}", f"/nowhere/{secret}?token={secret}", f"/v1/api/invoices?taxCode={secret}"):
        client.get(path)
    client.post("/v1/api/webhooks/internal", secret, content_type=f"text/{secret.encode('ascii', 'replace').decode()}")
    client.get("/claims/", headers={"host": secret.encode("ascii", "replace").decode(), "traceparent": secret})
    client.get("/nowhere", headers={"x-request-id": f" {secret}"})


def failing_views(secret: str) -> None:
    def view(_: Any) -> Any:
        raise ValueError(secret)

    from django.core.handlers.exception import convert_exception_to_response

    request = RequestFactory().post(f"/x/{secret}", secret, content_type="text/plain")
    tracing.TracingMiddleware(convert_exception_to_response(view))(request)


def celery_tasks(secret: str) -> None:
    app = Celery(set_as_current=False)

    @app.task(name="test.fails")
    def fails(text: str) -> None:
        raise ValueError(text)

    fails.apply(args=[secret], kwargs={}, throw=False)


def provider_calls(secret: str) -> None:
    async def call() -> None:
        limits = Limits(in_flight=1, lookups_in_flight=1, settle=1, key_unique_for=None, connect=1, total=1)  # type: ignore[arg-type]
        async with Http() as http:
            try:
                await http.post("http://127.0.0.1:9/", secret.encode(), {"Cookie": ascii(secret)}, limits)
            except ProviderError:
                ours.exception("[providerCallBroke]")
        raise aiohttp.InvalidURL(secret)

    try:
        asyncio.run(call())
    except aiohttp.InvalidURL:
        ours.exception("[providerCallBroke]")


def librdkafka(secret: str) -> None:
    KafkaLog().log(
        logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#consumer-1", f"sasl_plaintext://x: {secret} is refused"
    )


@contextmanager
def lines(style: str) -> Iterator[io.StringIO]:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(LineFormatter(style))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.stream
    finally:
        root.removeHandler(handler)


few_examples = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
WITHOUT_DATABASE = [arguments, unknown_keys, exceptions, python_warnings, failing_views, celery_tasks, provider_calls]
FREE_TEXT = [keys_of_words, keys_of_codes, sentences, librdkafka]


def check(path: Callable[[str], None], secret: str, style: str) -> None:
    with lines(style) as stream:
        path(secret)
    output = stream.getvalue()
    assert output and secret not in output and json.dumps(secret)[1:-1] not in output, output
    assert all(line.startswith(("time=", "{")) for line in output.splitlines())


@pytest.mark.parametrize("path", WITHOUT_DATABASE)
@few_examples
@given(secret=anything, style=st.sampled_from(["logfmt", "json"]))
def test_nothing_but_allowed_keys_is_written(path: Callable[[str], None], secret: str, style: str) -> None:
    check(path, secret, style)


@pytest.mark.parametrize("path", FREE_TEXT)
@few_examples
@given(secret=shaped, style=st.sampled_from(["logfmt", "json"]))
def test_free_text_is_scrubbed_of_secrets_and_personal_data(
    path: Callable[[str], None], secret: str, style: str
) -> None:
    check(path, secret, style)


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(secret=anything)
def test_requests_are_logged_by_their_route(secret: str) -> None:
    check(requests, secret, "logfmt")


@pytest.mark.django_db
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(secret=anything)
def test_a_row_that_postgresql_quotes_is_not_logged(secret: str) -> None:
    def insert_twice(secret: str) -> None:
        try:
            with transaction.atomic():
                Merchant.objects.create(code=secret, name=secret)
                with transaction.atomic():
                    Merchant.objects.create(code=secret, name=secret)
        except IntegrityError as error:
            assert secret in str(error)
            ours.exception("it broke")

    secret = secret[:64]
    check(insert_twice, secret, "logfmt")
    Merchant.objects.filter(code=secret).delete()


@pytest.mark.django_db
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(secret=anything)
def test_a_malformed_kafka_message_is_not_logged(secret: str, settings: Any) -> None:
    bodies = [secret, json.dumps({"op": "c", "after": {"id": secret * 9, "name": secret}}), json.dumps({"op": secret})]

    def malformed_messages(_: str) -> None:
        topics = settings.KAFKA_MERCHANT_TOPIC, "payments"
        settings.KAFKA_PAYMENT_TOPIC = topics[1]
        apply_messages(
            [Message(topic, 0, at, None, body.encode()) for topic in topics for at, body in enumerate(bodies)]
        )

    check(malformed_messages, secret, "logfmt")


def test_class_sqlstate_constraint_and_stack_of_an_error_are_logged(db: Any, caplog: pytest.LogCaptureFixture) -> None:
    merchant = cast.seller()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO merchants_merchant SELECT * FROM merchants_merchant WHERE id = %s", [merchant.pk]
            )
    except IntegrityError:
        ours.exception("[somethingBroke]")
    assert "error=IntegrityError cause=UniqueViolation sqlstate=23505 constraint=merchants_merchant_pkey" in caplog.text
    assert "tests/config/test_redaction.py:" in caplog.text
