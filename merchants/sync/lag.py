"""The consumer's lag by partition, from its client's own data. Saved for /metrics."""

from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition

from config.base import clock
from merchants.models import ConsumerLag

TIMEOUT = 2.0  # seconds for Kafka to return the committed offsets


def save_lag(kafka: Consumer) -> None:
    """Raises KafkaException."""
    now = clock.now()
    ConsumerLag.objects.bulk_create(
        [
            ConsumerLag(topic=topic, partition=partition, lag=messages, reported_at=now)
            for topic, partition, messages in read_lag(kafka)
        ],
        update_conflicts=True,
        unique_fields=["topic", "partition"],
        update_fields=["lag", "reported_at"],
    )


def read_lag(kafka: Consumer) -> list[tuple[str, int, int]]:
    """Topic, partition and number of unread messages of each assigned partition."""
    positions = kafka.position(kafka.assignment())
    unread = [TopicPartition(p.topic, p.partition) for p in positions if p.offset == OFFSET_INVALID]
    committed = {(p.topic, p.partition): p.offset for p in (kafka.committed(unread, TIMEOUT) if unread else [])}
    lags = []
    for position in positions:
        first, end = kafka.get_watermark_offsets(position, cached=True)
        at = committed.get((position.topic, position.partition), position.offset)
        if end >= 0:  # otherwise the broker has not reported this partition yet
            lags.append((position.topic, position.partition, max(0, end - (at if at >= 0 else max(first, 0)))))
    return lags
