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


def test_the_end_is_the_last_change_of_each_whatever_dies_on_the_way() -> None:
    """One test, for the servers' sake: kills and a restart, then poison, then a farewell."""
    with consumer_cluster(Path(settings.LOCAL) / "changes") as home:
        told = make_stream(2000, 50)
        send_with_kills(home, told, kills=1)
        assert home.ask(END_STATE) == told.end
        assert home.ask("SELECT count(*) FROM merchants_quarantine") == [(0,)]
        home.wait(lambda: home.ask(LAG) == [(home.topic, 0)], "the consumer did not tell that it has caught up")
        poison_is_put_away(home)
        assert home.stop(signal.SIGTERM) == 0
        log = home.log.read_text()
        assert "marker=quarantined" in log
        assert "[handleMerchantCDC] op=u tax unchanged, SKIP" in log


def poison_is_put_away(home: ConsumerCluster) -> None:
    more = make_stream(10, 2, seed=7)
    fresh = [(f"n-{key}", value.replace(b'"m-', b'"n-')) for key, value in more.messages]
    home.send([fresh[0], ("poison", b"\xff{"), ("tomb", None), *fresh[1:]])
    ends = {f"n-{code[2:]}": lsn for code, lsn in more.lsns.items()}
    home.wait(
        lambda: ends.items() <= home.heard().items() and home.ask("SELECT 1 FROM merchants_quarantine"),
        "the messages behind the poison were not kept",
    )
    kept = home.ask("SELECT topic, key, value, error FROM merchants_quarantine")
    assert kept == [(home.topic, b"poison", b"\xff{", "This is not JSON.")]


def test_the_embedded_broker_is_shared_and_forgets() -> None:
    root = Path(settings.LOCAL) / "broker-test"
    address = broker.start(root)
    broker.create_topics(address, "once")
    broker.create_topics(address, "once")
    assert broker.start(root) == address
    broker.stop(root)
    assert broker._address(root / "kafka") == ""


@pytest.mark.django_db
def test_payments_over_kafka_are_kept_like_webhooks_and_poison_is_told(settings: Any) -> None:
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
    following.keep(batch)
    following.keep(batch)  # it comes twice
    assert Invoice.objects.get().order_id == payment["orderId"]
    events = dict(WebhookEvent.objects.values_list("webhook_id", "status"))
    assert events == {"payments-2-0": "done", "payments-2-3": "refused", "payments-2-4": "done"}
    assert Quarantine.objects.get().offset == 1
