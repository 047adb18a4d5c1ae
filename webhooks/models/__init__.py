from webhooks.models.deliveries import WebhookDelivery
from webhooks.models.endpoints import EndpointSecret, WebhookEndpoint
from webhooks.models.events import WebhookEvent

__all__ = ["EndpointSecret", "WebhookDelivery", "WebhookEndpoint", "WebhookEvent"]
