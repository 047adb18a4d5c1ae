"""A real consumer process against a real broker and a PostgreSQL of its own: kills, restarts, repetitions, poison."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from config.processes import broker
from tests import cast
from tests.merchants.change_stream import END_STATE, ConsumerCluster, consumer_cluster, make_stream, send_with_kills

LAG = "SELECT topic, sum(lag)::int FROM merchants_consumerlag GROUP BY 1"


def test_each_merchant_ends_with_its_last_change_through_kills_and_a_restart() -> None:
    """One test, so that the servers start once: kills and a restart, then poison messages, then SIGTERM."""
    with consumer_cluster(Path(settings.LOCAL) / "changes") as cluster:
        stream = make_stream(2000, 50)
        send_with_kills(cluster, stream, kills=1)
        assert cluster.query(END_STATE) == stream.end
        assert cluster.query("SELECT count(*) FROM merchants_quarantine") == [(0,)]
        cluster.wait(lambda: cluster.query(LAG) == [(cluster.topic, 0)], "it did not record that it has caught up")
        assert_poison_is_quarantined(cluster)
        assert cluster.stop(signal.SIGTERM) == 0
        log = cluster.log.read_text()
        assert "marker=quarantined" in log
        assert "[handleMerchantCDC] op=u tax unchanged, SKIP" in log


def assert_poison_is_quarantined(cluster: ConsumerCluster) -> None:
    more = make_stream(10, 2, seed=7)
    fresh = [(f"n-{key}", value.replace(b'"m-', b'"n-')) for key, value in more.messages]
    cluster.send([fresh[0], ("poison", b"\xff{"), ("tomb", None), *fresh[1:]])
    ends = {f"n-{code[2:]}": lsn for code, lsn in more.lsns.items()}
    cluster.wait(
        lambda: ends.items() <= cluster.recorded_lsns().items() and cluster.query("SELECT 1 FROM merchants_quarantine"),
        "the messages after the poison were not stored",
    )
    quarantined = cluster.query("SELECT topic, key, value, error FROM merchants_quarantine")
    assert quarantined == [(cluster.topic, b"poison", b"\xff{", "This is not JSON.")]


def test_the_embedded_broker_is_shared_until_it_is_stopped() -> None:
    root = Path(settings.LOCAL) / "broker-test"
    address = broker.start(root)
    broker.create_topics(address, "once")
    broker.create_topics(address, "once")
    assert broker.start(root) == address
    broker.stop(root)
    assert broker._address(root / "kafka") == ""


@pytest.mark.django_db
def test_payments_over_kafka_are_stored_like_webhooks_and_poison_is_quarantined(settings: Any) -> None:
    from invoices.models import Invoice
    from merchants.models import Quarantine
    from merchants.sync import following
    from merchants.sync.messages import Message
    from webhooks.models import WebhookEvent

    settings.KAFKA_PAYMENT_TOPIC = "payments"
    payment = cast.payment(cast.seller())
    good = json.dumps(cast.event("payment.succeeded", payment)).encode()
    refused = json.dumps(cast.event("payment.succeeded", {**payment, "orderId": "other", "total": 1})).encode()
    values = [good, b"{", None, refused, good]
    batch = [Message("payments", 2, at, None, value) for at, value in enumerate(values)]
    following.apply_messages(batch)
    following.apply_messages(batch)  # delivered twice
    assert Invoice.objects.get().order_id == payment["orderId"]
    events = dict(WebhookEvent.objects.values_list("webhook_id", "status"))
    assert events == {"payments-2-0": "done", "payments-2-3": "refused", "payments-2-4": "done"}
    assert Quarantine.objects.get().offset == 1
