from django.urls import path

from webhooks.views import webhook

urlpatterns = [
    path("webhooks/internal", webhook, {"route": "internal"}, name="webhook-internal"),
    path("webhooks/merchant", webhook, {"route": "merchant"}, name="webhook-merchant"),
]
