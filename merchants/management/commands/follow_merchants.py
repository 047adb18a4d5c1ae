"""`manage.py follow_merchants`: keep what the platform streams over Kafka, until SIGTERM."""

import signal
from typing import Any

from confluent_kafka import KafkaException
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from structlog.stdlib import get_logger

from config.base.logging import serve_as
from config.processes.shutdown import ShutdownFlag
from merchants.sync.following import Follower, consumer
from merchants.sync.messages import readers

log = get_logger(__name__)


class Command(BaseCommand):
    help = "Follow merchants' changes (and payments, where they have a topic) over Kafka."

    def handle(self, *_: Any, **__: Any) -> None:
        bootstrap = settings.KAFKA_BOOTSTRAP_SERVERS or own_broker()
        if not readers():
            raise CommandError("There is nothing to follow: KAFKA_MERCHANT_TOPIC and KAFKA_PAYMENT_TOPIC are empty.")
        serve_as("consumer")
        stop = ShutdownFlag("consumer")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        log.info("[followMerchants] following", source=", ".join(readers()))
        try:
            Follower(consumer(bootstrap), stop).run()
        except KafkaException as error:
            raise CommandError(f"Kafka refuses us: {error.args[0].str()}") from None


def own_broker() -> str:
    if not settings.DEVELOPMENT:
        raise CommandError("KAFKA_BOOTSTRAP_SERVERS is not set, so nothing is followed.")
    from config.processes import broker

    address = broker.start(settings.LOCAL)
    broker.create_topics(address, *readers())
    return address
