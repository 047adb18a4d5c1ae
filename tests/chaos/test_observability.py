"""What an operator sees of real processes: the story of an order in their logs, who is alive, what is missing."""

import itertools
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connections

from config.processes.run_modes import api, beat, worker
from invoices.models import Invoice
from tests.chaos import servers
from tests.chaos.cluster import Cluster, all_issued, running_cluster, until
from tests.monitoring.test_metrics import WANTED, scrape

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')  # of logfmt


@pytest.fixture(scope="module")
def home(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("watching")
    ours = {"SWEEP_SECONDS": "1", "ISSUANCE_RETRY_STEPS": "1", "HOADON_ALIVE": str(root / "alive")}
    with running_cluster(root, django_db_blocker, **ours) as home:
        home.processes.start("api", *api(home.ports[0]))
        home.processes.start("worker", *worker("watched", *settings.QUEUES))
        home.processes.start("beat", *beat())
        home.processes.wait_for("api", f"{home.url()}/admin/login/")
        yield home


def ask(home: Cluster, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{home.url()}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def missing(home: Cluster, path: str = "/v1/api/health/ready") -> tuple[int, set[str]]:
    """The status, and which checks fail."""
    status, body = ask(home, path)
    return status, {name for name, check in json.loads(body)["checks"].items() if not check["ok"]}


def lines(home: Cluster, *words: str) -> list[dict[str, str]]:
    """What all processes logged with these words in it, in the order of time."""
    logs = [path.read_text().splitlines() for path in (home.root / "logs").glob("*.log")]
    found = [line for line in itertools.chain(*logs) if all(word in line for word in words)]
    return sorted((dict(PAIR.findall(line)) for line in found), key=lambda line: line["time"])


def test_one_orders_id_or_its_trace_greps_its_whole_story_across_processes(home: Cluster) -> None:
    home.provider.add_fault("429", count=1, endpoint="create")
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


def test_ready_turns_503_and_back_when_postgresql_stops_and_returns(home: Cluster) -> None:
    until(lambda: missing(home) == (200, set()))
    servers.stop_postgres(home.root)
    try:
        until(lambda: missing(home) == (503, {"database", "migrations"}))
        assert missing(home, "/v1/api/health")[0] == 503
        assert ask(home, "/v1/api/health/live")[0] == 200
        until(lambda: "hoadon_up 0.0" in ask(home, "/metrics")[1])
        assert ask(home, "/metrics")[0] == 200
    finally:
        servers.start_postgres(home.root)
        connections["default"].close()
    until(lambda: missing(home) == (200, set()))
    until(lambda: "hoadon_up 1.0" in ask(home, "/metrics")[1])


def test_ready_turns_503_and_back_when_redis_stops_and_returns_and_payments_are_taken_throughout(home: Cluster) -> None:
    until(lambda: missing(home) == (200, set()))
    servers.stop_valkey(home.redis_url)
    try:
        until(lambda: missing(home) == (503, {"redis"}))
        assert missing(home, "/v1/api/health") == (200, {"redis"})
        assert home.pay().status == 202
    finally:
        servers.start_valkey(home.root)
    until(lambda: missing(home) == (200, set()))
    until(all_issued)


def test_a_redis_that_hangs_is_missed_like_one_that_is_away(home: Cluster) -> None:
    pid = redis.Redis.from_url(home.redis_url).info("server")["process_id"]
    with servers.frozen(pid):
        until(lambda: missing(home) == (503, {"redis"}))
    until(lambda: missing(home) == (200, set()))


def test_a_worker_and_beat_give_signs_of_life_though_they_have_nothing_to_do(home: Cluster) -> None:
    for part in ("worker", "beat"):
        sign = home.root / "alive" / f"{part}-{home.processes.running[part].pid}"
        until(sign.exists)
        os.utime(sign, (0, 0))
        until(lambda: sign.stat().st_mtime > 0)  # noqa: B023


def test_a_scrape_is_complete_after_a_flow_and_stays_so_when_no_worker_is_up(home: Cluster) -> None:
    home.pay()
    until(all_issued)
    count = Invoice.objects.count()
    sends = ("send", "issued", "viettel")
    until(lambda: scrape(ask(home, "/metrics")[1])["ended_total{state}"][("ISSUED",)] == count)
    home.processes.stop("worker")
    home.processes.stop("beat")
    waiting = home.pay().json()["invoiceId"]
    partition = str(Invoice.objects.get(pk=waiting).partition)
    depth = (partition, "QUEUED")
    until(lambda: scrape(ask(home, "/metrics")[1])["invoices_open{partition,state}"][depth] == 1)
    found = scrape(ask(home, "/metrics")[1])
    assert [words for words, name in WANTED.items() if not found.get(name)] == []
    assert found["provider_calls_total{act,outcome,provider}"][sends] == count
    assert found["events_accepted_total{outcome,route}"][("opened", "internal")] == count + 1
    assert found["time_to_issue_seconds_count"][()] == count
