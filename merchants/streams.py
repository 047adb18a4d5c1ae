"""The Kafka topics that this app reads. See merchants.sync.messages."""

from django.conf import settings

from merchants.sync import apply_changes
from merchants.sync.messages import Reader


def streams() -> dict[str, Reader]:
    return {settings.KAFKA_MERCHANT_TOPIC: apply_changes.apply_batch}
