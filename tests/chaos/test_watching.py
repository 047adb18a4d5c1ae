"""What an operator sees of real processes: the story of an order in their logs."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from config.modes import api, beat, worker
from invoices.models import Invoice
from tests.chaos.house import House, all_issued, house, until

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')  # of logfmt


@pytest.fixture(scope="module")
def home(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[House]:
    root = tmp_path_factory.mktemp("watching")
    with house(root, django_db_blocker, SWEEP_SECONDS="1", ISSUANCE_RETRY_STEPS="1") as home:
        home.crew.start("api", *api(home.ports[0]))
        home.crew.start("worker", *worker("watched", *settings.QUEUES))
        home.crew.start("beat", *beat())
        home.crew.wait_for("api", f"{home.url()}/admin/login/")
        yield home


def lines(home: House, *words: str) -> list[dict[str, str]]:
    """What all processes logged with these words in it, in the order of time."""
    logs = [path.read_text().splitlines() for path in (home.root / "logs").glob("*.log")]
    found = [line for line in itertools.chain(*logs) if all(word in line for word in words)]
    return sorted((dict(PAIR.findall(line)) for line in found), key=lambda line: line["time"])


def test_one_orders_id_or_its_trace_greps_its_whole_story_across_processes(home: House) -> None:
    home.provider.faults("429", count=1, endpoint="create")
    order = home.pay().json()["sourceId"]
    until(all_issued)
    until(lambda: lines(home, f" order={order} ", "marker=filesKept"))
    story = lines(home, f" order={order} ")
    assert [(line["part"], line["marker"]) for line in story] == [
        ("api", "handlePaymentSuccess"),
        ("api", "enqueueIssuance"),
        ("worker", "providerCall"),
        ("worker", "_handleIssuanceFailure"),
        ("worker", "enqueueIssuance"),
        ("worker", "providerCall"),
        ("worker", "filesKept"),
    ]
    refused, retry, issued = story[2], story[3], story[5]
    assert (refused["outcome"], refused["code"], refused["attempt"]) == ("unavailable", "http_429", "1")
    assert (retry["error"], retry["attempt"], retry["partition"]) == ("Unavailable", "1", story[0]["partition"])
    assert float(retry["delay"]) > 0
    assert (issued["outcome"], issued["attempt"], issued["task"]) == ("issued", "2", "invoices.issue_due")
    invoice = Invoice.objects.get(order_id=order)
    assert {(line["invoice"], line["merchant"], line["trace"]) for line in story} == {
        (str(invoice.pk), home.seller.code, invoice.trace and invoice.trace.hex)
    }
    request = lines(home, f"trace={story[0]['trace']}", "marker=request ")
    assert [line["request"] for line in request] == [story[0]["request"]]
