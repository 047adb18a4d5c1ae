"""`manage.py follow_merchants`: apply what the platform streams over Kafka, until SIGTERM."""

import signal
from typing import Any

from confluent_kafka import KafkaException
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from structlog.stdlib import get_logger

from config.base.logging import serve_as
from config.processes.shutdown import ShutdownFlag
from merchants.sync.following import Follower, open_consumer
from merchants.sync.messages import readers

log = get_logger(__name__)


class Command(BaseCommand):
    help = "Apply the platform's changes of merchants from Kafka, and payments if KAFKA_PAYMENT_TOPIC is set."

    def handle(self, *_: Any, **__: Any) -> None:
        bootstrap = settings.KAFKA_BOOTSTRAP_SERVERS or start_broker()
        if not readers():
            raise CommandError("KAFKA_MERCHANT_TOPIC and KAFKA_PAYMENT_TOPIC are empty, so there is no topic to read.")
        serve_as("consumer")
        stop = ShutdownFlag("consumer")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        log.info("[followMerchants] following", source=", ".join(readers()))
        try:
            Follower(open_consumer(bootstrap), stop).run()
        except KafkaException as error:
            raise CommandError(f"Kafka refused the consumer: {error.args[0].str()}") from None


def start_broker() -> str:
    if not settings.DEVELOPMENT:
        raise CommandError("KAFKA_BOOTSTRAP_SERVERS is not set, so there is no broker to connect to.")
    from config.processes import broker

    address = broker.start(settings.LOCAL)
    broker.create_topics(address, *readers())
    return address
