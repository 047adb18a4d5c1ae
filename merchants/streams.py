"""The Kafka topics that this app reads. See merchants.sync.messages."""

from django.conf import settings

from merchants.sync import changes
from merchants.sync.messages import Reader


def streams() -> dict[str, Reader]:
    return {settings.KAFKA_MERCHANT_TOPIC: changes.apply_batch}
