"""The Kafka consumer's loop: read a batch, store it in the database, then commit its offsets.

After a crash between the two the batch is read again, which changes nothing. In the other order it would be lost.
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
LAG_SECONDS = 5.0  # between two reports of the lag
BACKOFF = [0.2, 0.5, 1, 2, 5, 10]  # seconds between attempts while the database is down


class KafkaLog:
    """Passes on librdkafka's log lines. They are about servers and connections, never about a message."""

    def log(self, level: int, template: str, facility: str, client: str, text: str) -> None:
        log.log(level, "[kafka]", facility=facility, why=text)


def open_consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": settings.KAFKA_CONSUMER_ID,
            "group.instance.id": settings.KAFKA_INSTANCE_ID,  # so that a restart causes no rebalance
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(settings.KAFKA_SESSION * 1000),
            "heartbeat.interval.ms": int(settings.KAFKA_SESSION * 1000 / 10),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # a new group reads the snapshot first
            "client.id": settings.SERVICE_CODE,
            **settings.KAFKA_OPTIONS,
        },
        logger=KafkaLog(),
    )


class Follower:
    """Follows every topic that has a reader, until `stop` is set."""

    def __init__(self, kafka: Consumer, stop: Event) -> None:
        self.kafka, self.stop = kafka, stop
        self._save_lag_at = 0.0

    def run(self) -> None:
        """Raises KafkaException if Kafka refuses us permanently."""
        self.kafka.subscribe(list(readers()))
        try:
            while not self.stop.is_set():
                self._save_lag()
                if batch := self._messages(self.kafka.consume(BATCH, WAIT)):
                    self._apply(batch)
        finally:
            self.kafka.close()  # static membership: our partitions stay ours for a session

    def _save_lag(self) -> None:
        """Save the lag every few seconds: /metrics reads the database, not this process."""
        if time.monotonic() < self._save_lag_at:
            return
        self._save_lag_at = time.monotonic() + LAG_SECONDS
        try:
            close_old_connections()
            lag.save_lag(self.kafka)
        except (OperationalError, InterfaceError, KafkaException) as error:
            log.warning("[followMerchants] lag not saved", error=type(error).__name__)

    def _apply(self, batch: list[Message]) -> None:
        """Apply a batch, and retry while the database is down. Its offsets are committed afterwards."""
        attempts = 0
        while True:
            try:
                close_old_connections()
                apply_messages(batch)
                break
            except (OperationalError, InterfaceError) as error:
                wait = BACKOFF[min(attempts, len(BACKOFF) - 1)]
                attempts += 1
                log.warning("[followMerchants] the database is away", error=type(error).__name__, delay=wait)
                connection.close()
                if self._sleep(wait, batch):
                    return  # shutting down: uncommitted messages will be read again
        self._commit(batch)

    def _sleep(self, seconds: float, batch: list[Message]) -> bool:
        """Wait, and stay a member of the group. Returns whether to stop."""
        mine = self.kafka.assignment()
        self.kafka.pause(mine)
        try:
            late = self.kafka.poll(seconds)  # partitions that are assigned meanwhile are not paused
            batch.extend(self._messages([late] if late else []))
        finally:
            still = {(each.topic, each.partition) for each in self.kafka.assignment()}
            self.kafka.resume([each for each in mine if (each.topic, each.partition) in still])
        return self.stop.is_set()

    def _commit(self, batch: list[Message]) -> None:
        ends: dict[tuple[str, int], int] = {}
        for message in batch:
            ends[message.topic, message.partition] = message.offset + 1
        try:
            self.kafka.commit(offsets=[TopicPartition(*key, end) for key, end in ends.items()], asynchronous=False)
        except KafkaException as error:
            failure = error.args[0]
            if failure.fatal():
                raise
            # The next commit covers it, or the batch is read again.
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


def apply_messages(batch: list[Message]) -> None:
    """Apply a batch, each topic's messages in order. What cannot be applied is quarantined."""
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for message in batch:
        by_topic[message.topic].append(message)
    poisons: list[Poison] = []
    reader_of = readers()
    for topic, messages in by_topic.items():
        poisons += reader_of[topic](messages)
    if poisons:
        quarantine.store(poisons)
        for message, error in poisons:
            log.error("[quarantined]", source=message.source, why=error)


def _traceparent(raw: Raw) -> str:
    given = _bytes(dict(raw.headers() or []).get("traceparent")) or b""
    return given.decode("ascii", "replace")


def _bytes(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text
