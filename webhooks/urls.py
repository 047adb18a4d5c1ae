from django.urls import path
from rest_framework.routers import SimpleRouter

from webhooks.api.deliveries import WebhookDeliveries
from webhooks.api.endpoints import WebhookEndpoints
from webhooks.inbound.views import webhook

router = SimpleRouter(trailing_slash=False)
router.register("webhook-endpoints", WebhookEndpoints, "webhook-endpoints")
router.register("webhook-deliveries", WebhookDeliveries, "webhook-deliveries")
urlpatterns = [
    path("webhooks/internal", webhook, {"route": "internal"}, name="webhook-internal"),
    path("webhooks/merchant", webhook, {"route": "merchant"}, name="webhook-merchant"),
    *router.urls,
]
