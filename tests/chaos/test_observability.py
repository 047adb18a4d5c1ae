"""What an operator sees of real processes: an order's log lines across them, heartbeats, failing checks, metrics."""

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
from tests.chaos.cluster import Cluster, all_issued, running_cluster, wait_until
from tests.monitoring.test_metrics import REQUIRED, parse_samples

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')  # of logfmt


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("observability")
    ours = {"SWEEP_SECONDS": "1", "ISSUANCE_RETRY_STEPS": "1", "HOADON_ALIVE": str(root / "alive")}
    with running_cluster(root, django_db_blocker, **ours) as cluster:
        cluster.processes.start("api", *api(cluster.ports[0]))
        cluster.processes.start("worker", *worker("watched", *settings.QUEUES))
        cluster.processes.start("beat", *beat())
        cluster.processes.wait_for("api", f"{cluster.url()}/admin/login/")
        yield cluster


def get(cluster: Cluster, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{cluster.url()}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as response:
        return response.code, response.read().decode()


def failing_checks(cluster: Cluster, path: str = "/v1/api/health/ready") -> tuple[int, set[str]]:
    """The status, and the names of the failing checks."""
    status, body = get(cluster, path)
    return status, {name for name, check in json.loads(body)["checks"].items() if not check["ok"]}


def log_lines(cluster: Cluster, *words: str) -> list[dict[str, str]]:
    """The log lines of all processes that contain these words, in order of time."""
    logs = [path.read_text().splitlines() for path in (cluster.root / "logs").glob("*.log")]
    matching = [line for line in itertools.chain(*logs) if all(word in line for word in words)]
    return sorted((dict(PAIR.findall(line)) for line in matching), key=lambda line: line["time"])


def test_an_orders_id_or_trace_finds_its_log_lines_in_all_processes(cluster: Cluster) -> None:
    cluster.provider.add_fault("429", count=1, endpoint="create")
    order = cluster.pay().json()["sourceId"]
    wait_until(all_issued)
    wait_until(lambda: log_lines(cluster, f" order={order} ", "marker=filesStored"))
    flow = log_lines(cluster, f" order={order} ")
    assert [(line["part"], line["marker"]) for line in flow] == [
        ("api", "handlePaymentSuccess"),
        ("api", "enqueueIssuance"),
        ("worker", "providerCall"),
        ("worker", "_handleIssuanceFailure"),
        ("worker", "enqueueIssuance"),
        ("worker", "providerCall"),
        ("worker", "filesStored"),
    ]
    refused, retry, issued = flow[2], flow[3], flow[5]
    assert (refused["outcome"], refused["code"], refused["attempt"]) == ("unavailable", "http_429", "1")
    assert (retry["error"], retry["attempt"], retry["partition"]) == ("Unavailable", "1", flow[0]["partition"])
    assert float(retry["delay"]) > 0
    assert (issued["outcome"], issued["attempt"], issued["task"]) == ("issued", "2", "invoices.issue_due")
    invoice = Invoice.objects.get(order_id=order)
    assert {(line["invoice"], line["merchant"], line["trace"]) for line in flow} == {
        (str(invoice.pk), cluster.seller.code, invoice.trace and invoice.trace.hex)
    }
    request = log_lines(cluster, f"trace={flow[0]['trace']}", "marker=request ")
    assert [line["request"] for line in request] == [flow[0]["request"]]


def test_ready_is_503_while_postgresql_is_down(cluster: Cluster) -> None:
    wait_until(lambda: failing_checks(cluster) == (200, set()))
    servers.stop_postgres(cluster.root)
    try:
        wait_until(lambda: failing_checks(cluster) == (503, {"database", "migrations"}))
        assert failing_checks(cluster, "/v1/api/health")[0] == 503
        assert get(cluster, "/v1/api/health/live")[0] == 200
        wait_until(lambda: "hoadon_up 0.0" in get(cluster, "/metrics")[1])
        assert get(cluster, "/metrics")[0] == 200
    finally:
        servers.start_postgres(cluster.root)
        connections["default"].close()
    wait_until(lambda: failing_checks(cluster) == (200, set()))
    wait_until(lambda: "hoadon_up 1.0" in get(cluster, "/metrics")[1])


def test_ready_is_503_while_redis_is_down_and_payments_are_accepted_throughout(cluster: Cluster) -> None:
    wait_until(lambda: failing_checks(cluster) == (200, set()))
    servers.stop_valkey(cluster.redis_url)
    try:
        wait_until(lambda: failing_checks(cluster) == (503, {"redis"}))
        assert failing_checks(cluster, "/v1/api/health") == (200, {"redis"})
        assert cluster.pay().status == 202
    finally:
        servers.start_valkey(cluster.root)
    wait_until(lambda: failing_checks(cluster) == (200, set()))
    wait_until(all_issued)


def test_a_redis_that_hangs_fails_the_check_like_one_that_is_down(cluster: Cluster) -> None:
    pid = redis.Redis.from_url(cluster.redis_url).info("server")["process_id"]
    with servers.frozen(pid):
        wait_until(lambda: failing_checks(cluster) == (503, {"redis"}))
    wait_until(lambda: failing_checks(cluster) == (200, set()))


def test_an_idle_worker_and_beat_write_heartbeats(cluster: Cluster) -> None:
    for part in ("worker", "beat"):
        heartbeat = cluster.root / "alive" / f"{part}-{cluster.processes.running[part].pid}"
        wait_until(heartbeat.exists)
        os.utime(heartbeat, (0, 0))
        wait_until(lambda: heartbeat.stat().st_mtime > 0)  # noqa: B023


def test_a_scrape_is_complete_after_a_flow_and_without_workers(cluster: Cluster) -> None:
    cluster.pay()
    wait_until(all_issued)
    count = Invoice.objects.count()
    sends = ("send", "issued", "viettel")
    wait_until(lambda: parse_samples(get(cluster, "/metrics")[1])["invoices_ended_total{state}"][("ISSUED",)] == count)
    cluster.processes.stop("worker")
    cluster.processes.stop("beat")
    waiting = cluster.pay().json()["invoiceId"]
    partition = str(Invoice.objects.get(pk=waiting).partition)
    depth = (partition, "QUEUED")
    wait_until(lambda: parse_samples(get(cluster, "/metrics")[1])["invoices_open{partition,state}"][depth] == 1)
    metrics = parse_samples(get(cluster, "/metrics")[1])
    assert [words for words, name in REQUIRED.items() if not metrics.get(name)] == []
    assert metrics["provider_calls_total{kind,outcome,provider}"][sends] == count
    assert metrics["events_accepted_total{outcome,route}"][("opened", "internal")] == count + 1
    assert metrics["invoices_time_to_issue_seconds_count"][()] == count
