"""While the demo's orders are sent, the platform renames a merchant and publishes the change to Kafka."""

import json
import os
import time

from confluent_kafka import Producer
from django.conf import settings

from config.base import clock
from config.processes import broker
from config.processes.run_modes import consumer
from invoices.dev.demo.processes import Processes
from merchants.models import Merchant
from merchants.sync.envelopes import UNAVAILABLE

WAIT_SECONDS = 15  # after the last order; joining a consumer group takes the embedded broker six seconds


class MerchantRename:
    """An optional part of the demo: if it fails, the demo continues, and `outcome` gives the reason."""

    def __init__(self, processes: Processes) -> None:
        self.merchant = Merchant.objects.not_deleted().earliest("code")
        self.name = f"{self.merchant.name} (chi nhánh mới)"
        unique = str(time.time_ns())  # the broker may have the topics of an earlier demo
        self.topic = f"demo.{unique}.merchants"
        try:
            self.bootstrap = broker.start(settings.LOCAL)
            broker.create_topics(self.bootstrap, self.topic)
        except (RuntimeError, OSError) as error:
            self.outcome = f"no broker: {type(error).__name__}"
            return
        os.environ |= {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_MERCHANT_TOPIC": self.topic,
            "KAFKA_CONSUMER_ID": f"demo-{unique}",
        }
        processes.start("merchants", *consumer())
        self.outcome = "sent, but not applied"

    def send(self) -> None:
        """Publish the envelope that Debezium would write. The tax data is a large column that did not change."""
        if not hasattr(self, "bootstrap"):
            return
        now = int(clock.now().timestamp() * 1000)
        row = {"id": self.merchant.code, "name": self.name, "status": "active", "metadata": UNAVAILABLE}
        envelope = {"op": "u", "before": None, "after": row, "source": {"lsn": now, "ts_ms": now}, "ts_ms": now}
        producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 2})
        producer.produce(self.topic, key=self.merchant.code, value=json.dumps(envelope))
        producer.flush(5)

    def wait(self) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while hasattr(self, "bootstrap") and time.monotonic() < until:
            if Merchant.objects.get(pk=self.merchant.pk).name == self.name:
                self.outcome = f"{self.merchant.name} → {self.name}"
                return
            time.sleep(0.2)
