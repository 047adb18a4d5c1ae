"""The loop that follows Kafka: read a batch, keep it in the database, then tell Kafka.

A crash between the two brings a batch twice, which changes nothing; the other way round it would be lost.
"""

import time
from collections import defaultdict
from threading import Event

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as Raw
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from structlog.stdlib import get_logger

from merchants.sync import lag, quarantine
from merchants.sync.messages import Message, Poison, readers

log = get_logger(__name__)
BATCH = 500  # messages of one transaction
WAIT = 0.2  # seconds for a batch to fill
TELL_SECONDS = 5.0
BACKOFF = [0.2, 0.5, 1, 2, 5, 10]  # seconds between tries while the database is away


class _Kafka:
    """What librdkafka says: of servers and connections, never of a message."""

    def log(self, level: int, template: str, facility: str, client: str, text: str) -> None:
        log.log(level, "[kafka]", facility=facility, why=text)


def consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": settings.KAFKA_CONSUMER_ID,
            "group.instance.id": settings.KAFKA_INSTANCE_ID,  # a restart takes its partitions back without a rebalance
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(settings.KAFKA_SESSION * 1000),
            "heartbeat.interval.ms": int(settings.KAFKA_SESSION * 1000 / 10),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # a new group reads the snapshot first
            "client.id": settings.SERVICE_CODE,
            **settings.KAFKA_OPTIONS,
        },
        logger=_Kafka(),
    )


class Follower:
    """Follows every topic that has a reader, until `stop` is set."""

    def __init__(self, kafka: Consumer, stop: Event) -> None:
        self.kafka, self.stop = kafka, stop
        self._tell_at = 0.0

    def run(self) -> None:
        """Raises KafkaException where Kafka refuses us for good."""
        self.kafka.subscribe(list(readers()))
        try:
            while not self.stop.is_set():
                self._tell()
                if batch := self._messages(self.kafka.consume(BATCH, WAIT)):
                    self._insist(batch)
        finally:
            self.kafka.close()  # static membership: our partitions wait for us for a session

    def _tell(self) -> None:
        """Write down how far we are behind, now and then: /metrics asks the database, never us."""
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + TELL_SECONDS
        try:
            close_old_connections()
            lag.write(self.kafka)
        except (OperationalError, InterfaceError, KafkaException) as error:
            log.warning("[followMerchants] lag not told", error=type(error).__name__)

    def _insist(self, batch: list[Message]) -> None:
        """Keep a batch however long the database is away; nothing is committed before."""
        tries = 0
        while True:
            try:
                close_old_connections()
                keep(batch)
                break
            except (OperationalError, InterfaceError) as error:
                wait = BACKOFF[min(tries, len(BACKOFF) - 1)]
                tries += 1
                log.warning("[followMerchants] the database is away", error=type(error).__name__, delay=wait)
                connection.close()
                if self._sleep(wait, batch):
                    return  # told to stop: what is not committed comes again
        self._commit(batch)

    def _sleep(self, seconds: float, batch: list[Message]) -> bool:
        """Wait as a living member of the group. Returns whether we are to stop."""
        mine = self.kafka.assignment()
        self.kafka.pause(mine)
        try:
            late = self.kafka.poll(seconds)  # partitions that come to us meanwhile are not paused
            batch.extend(self._messages([late] if late else []))
        finally:
            still = {(place.topic, place.partition) for place in self.kafka.assignment()}
            self.kafka.resume([place for place in mine if (place.topic, place.partition) in still])
        return self.stop.is_set()

    def _commit(self, batch: list[Message]) -> None:
        ends: dict[tuple[str, int], int] = {}
        for message in batch:
            ends[message.topic, message.partition] = message.offset + 1
        try:
            self.kafka.commit(offsets=[TopicPartition(*place, end) for place, end in ends.items()], asynchronous=False)
        except KafkaException as error:
            failure = error.args[0]
            if failure.fatal():
                raise
            # The next one covers it, or it comes again.
            log.warning("[followMerchants] not committed", code=failure.name())

    def _messages(self, raws: list[Raw]) -> list[Message]:
        messages = []
        for raw in raws:
            if failure := raw.error():
                if failure.fatal():
                    raise KafkaException(failure)
                log.warning("[followMerchants]", code=failure.name())
            else:
                topic, partition, offset = raw.topic(), raw.partition(), raw.offset()
                assert topic is not None and partition is not None and offset is not None  # only errors lack them
                key, value = _bytes(raw.key()), _bytes(raw.value())
                messages.append(Message(topic, partition, offset, key, value, _traceparent(raw)))
        return messages


def keep(batch: list[Message]) -> None:
    """Act on a batch, in each topic's order. Returns when all of it is in the database, or in quarantine."""
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for message in batch:
        by_topic[message.topic].append(message)
    poisons: list[Poison] = []
    apply_to = readers()
    for topic, messages in by_topic.items():
        poisons += apply_to[topic](messages)
    if poisons:
        quarantine.keep(poisons)
        for message, error in poisons:
            log.error("[quarantined]", source=message.source, why=error)


def _traceparent(raw: Raw) -> str:
    given = _bytes(dict(raw.headers() or []).get("traceparent")) or b""
    return given.decode("ascii", "replace")


def _bytes(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text
