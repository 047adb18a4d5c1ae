"""One event a line: what it is of, under which keys, and in which words."""

import ast
import json
import logging
import uuid
from typing import Any

import pytest
from django.conf import settings
from structlog.stdlib import get_logger

from config.base import tracing
from config.base.logging import Line
from config.base.redaction import KEYS
from invoices.models import Invoice
from tests import cast

ROOMS = ("config", "merchants", "invoices", "webhooks", "claims")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
log = get_logger("invoices.somewhere")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """What was logged, as objects."""
    caplog.handler.setFormatter(Line("json", "SVC-1"))
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(line) for line in caplog.text.splitlines()]


def test_a_line_has_its_time_level_service_marker_and_keys(said: Any) -> None:
    log.info("[enqueueIssuance] order: %(order)s partition: %(partition)s", order="đơn-1", partition=2, merchant=None)
    [line] = said()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "SVC-1",
        "logger": "invoices.somewhere",
        "marker": "enqueueIssuance",
        "event": "[enqueueIssuance] order: đơn-1 partition: 2",
        "order": "đơn-1",
        "partition": 2,
    }


def test_logfmt_keeps_an_event_on_its_line(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("two\nlines", order='a "b"\nc')
    [line] = caplog.text.splitlines()
    assert line.endswith(r'event=two\nlines order="a \"b\"\nc"')


def test_strangers_say_small_numbers_and_kinds_of_errors_and_nothing_else(said: Any) -> None:
    logging.getLogger("kombu").error("%s of %s: %s after %s", 3, "a name", OSError("a name"), 0.25)
    logging.getLogger("celery.app.trace").error("Task %(name)s: %(exc)s", {"name": "x", "exc": "secret", "code": "a-1"})
    first, second = said()
    assert first["event"] == "3 of •: OSError after 0.25"
    assert (second["event"], second["code"]) == ("Task •: •", "a-1")


def test_every_key_that_we_log_is_on_the_list() -> None:
    """A key that is not would be left out without a word."""
    used = set()
    for file in (file for room in ROOMS for file in (settings.ROOT / room).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            target = call.func
            if isinstance(target, ast.Attribute) and target.attr in LEVELS and ast.unparse(target.value) == "log":
                used |= {(word.arg, file.name) for word in call.keywords if word.arg not in (None, "exc_info")}
                assert isinstance(call.args[0], ast.Constant), f"{file}: an event is a literal, its data are keys"
                assert len(call.args) == 1, f"{file}: data are keys, never arguments"
    assert len(used) > 30
    assert {(key, file) for key, file in used if key not in KEYS} == set()


@pytest.mark.django_db
def test_a_trace_is_carried_from_the_webhook_to_the_payment_and_its_invoice(client: Any, said: Any) -> None:
    cast.seller("m-1", claim_window=0)
    call = cast.signed(cast.event("payment.succeeded", cast.payment("m-1", orderId="order-1")))
    call["headers"] |= {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "req-1"}
    answer = client.post("/v1/api/webhooks/internal", **call)
    assert answer.status_code == 202 and answer["X-Request-Id"] == "req-1"
    invoice = Invoice.objects.get()
    assert invoice.trace == uuid.UUID(TRACE)
    assert {(line["trace"], line["request"]) for line in said()} == {(TRACE, "req-1")}
    request = next(line for line in said() if line["marker"] == "request")
    assert request["route"] == "v1/api/webhooks/internal" and request["status"] == 202


def test_a_traceparent_that_is_none_gives_way_to_a_new_one() -> None:
    nothing = f"00-{'0' * 32}-00f067aa0ba902b7-01"
    for wrong in ("", "hello", nothing, f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01"):
        with tracing.within(wrong):
            trace = tracing.trace_id()
        assert trace and trace.hex != TRACE and trace.int
    with tracing.within(f"00-{TRACE}-00f067aa0ba902b7-01"):
        assert tracing.trace_id() == uuid.UUID(TRACE)
    assert tracing.trace_id() is None
