from django.urls import path

from webhooks.views import webhook

urlpatterns = [
    path("internal", webhook, {"route": "internal"}, name="webhook-internal"),
    path("merchant", webhook, {"route": "merchant"}, name="webhook-merchant"),
]
