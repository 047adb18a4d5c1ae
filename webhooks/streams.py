"""The Kafka topics that this app reads. See merchants.sync.messages."""

from django.conf import settings

from merchants.sync.messages import Reader
from webhooks.inbound import streaming


def streams() -> dict[str, Reader]:
    return {settings.KAFKA_PAYMENT_TOPIC: streaming.apply_batch}
