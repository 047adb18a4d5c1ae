"""How far the consumer is behind, by partition, from what it has in hand; written down for /metrics."""

from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition

from config.base import clock
from merchants.models import ConsumerLag

PATIENCE = 2.0  # seconds for Kafka to tell what was committed


def write(kafka: Consumer) -> None:
    """Raises KafkaException."""
    now = clock.now()
    ConsumerLag.objects.bulk_create(
        [ConsumerLag(topic=topic, partition=partition, lag=lag, reported_at=now) for topic, partition, lag in read(kafka)],
        update_conflicts=True,
        unique_fields=["topic", "partition"],
        update_fields=["lag", "reported_at"],
    )


def read(kafka: Consumer) -> list[tuple[str, int, int]]:
    """Topic, partition and messages to come, of what is assigned to us."""
    places = kafka.position(kafka.assignment())
    unread = [TopicPartition(place.topic, place.partition) for place in places if place.offset == OFFSET_INVALID]
    committed = {(p.topic, p.partition): p.offset for p in (kafka.committed(unread, PATIENCE) if unread else [])}
    found = []
    for place in places:
        first, end = kafka.get_watermark_offsets(place, cached=True)
        at = committed.get((place.topic, place.partition), place.offset)
        if end >= 0:  # heard of the partition at all
            found.append((place.topic, place.partition, max(0, end - (at if at >= 0 else max(first, 0)))))
    return found
