"""The format of log lines, their keys and their traces."""

import ast
import json
import logging
import uuid
from typing import Any

import pytest
from django.conf import settings
from structlog.stdlib import get_logger

from config.base import tracing
from config.base.logging import LineFormatter
from config.base.redaction import KEYS
from invoices.models import Invoice
from tests import cast

APPS = ("config", "merchants", "invoices", "webhooks", "claims")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
log = get_logger("invoices.somewhere")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """Returns the logged lines as objects."""
    caplog.handler.setFormatter(LineFormatter("json", "SVC-1"))
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(line) for line in caplog.text.splitlines()]


def test_a_line_has_its_time_level_service_marker_and_keys(lines: Any) -> None:
    log.info("[enqueueIssuance] order: %(order)s partition: %(partition)s", order="đơn-1", partition=2, merchant=None)
    [line] = lines()
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


def test_a_logfmt_event_stays_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("two\nlines", order='a "b"\nc')
    [line] = caplog.text.splitlines()
    assert line.endswith(r'event=two\nlines order="a \"b\"\nc"')


def test_a_library_s_arguments_are_hidden_but_for_small_numbers_and_error_classes(lines: Any) -> None:
    logging.getLogger("kombu").error("%s of %s: %s after %s", 3, "a name", OSError("a name"), 0.25)
    logging.getLogger("celery.app.trace").error("Task %(name)s: %(exc)s", {"name": "x", "exc": "secret", "code": "a-1"})
    first, second = lines()
    assert first["event"] == "3 of •: OSError after 0.25"
    assert (second["event"], second["code"]) == ("Task •: •", "a-1")


def test_every_key_that_we_log_is_allowed() -> None:
    """Any other key would be left out silently."""
    used = set()
    for file in (file for app in APPS for file in (settings.ROOT / app).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            target = call.func
            if isinstance(target, ast.Attribute) and target.attr in LEVELS and ast.unparse(target.value) == "log":
                used |= {(kw.arg, file.name) for kw in call.keywords if kw.arg not in (None, "exc_info")}
                assert isinstance(call.args[0], ast.Constant), (
                    f"{file}: the event must be a literal, its data keyword arguments"
                )
                assert len(call.args) == 1, f"{file}: data must be keyword arguments"
    assert len(used) > 30
    assert {(key, file) for key, file in used if key not in KEYS} == set()


@pytest.mark.django_db
def test_a_trace_is_carried_from_the_webhook_to_the_payment_and_its_invoice(client: Any, lines: Any) -> None:
    cast.seller("m-1", claim_window=0)
    call = cast.signed(cast.event("payment.succeeded", cast.payment("m-1", orderId="order-1")))
    call["headers"] |= {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "req-1"}
    response = client.post("/v1/api/webhooks/internal", **call)
    assert response.status_code == 202 and response["X-Request-Id"] == "req-1"
    invoice = Invoice.objects.get()
    assert invoice.trace == uuid.UUID(TRACE)
    assert {(line["trace"], line["request"]) for line in lines()} == {(TRACE, "req-1")}
    request = next(line for line in lines() if line["marker"] == "request")
    assert request["route"] == "v1/api/webhooks/internal" and request["status"] == 202


def test_a_malformed_traceparent_is_replaced_by_a_new_trace() -> None:
    zeros = f"00-{'0' * 32}-00f067aa0ba902b7-01"
    for wrong in ("", "hello", zeros, f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01"):
        with tracing.new_trace(wrong):
            trace = tracing.trace_id()
        assert trace and trace.hex != TRACE and trace.int
    with tracing.new_trace(f"00-{TRACE}-00f067aa0ba902b7-01"):
        assert tracing.trace_id() == uuid.UUID(TRACE)
    assert tracing.trace_id() is None
