from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from invoices.moving import invoices_moved
        from webhooks.outbound import events

        invoices_moved.connect(events.on_invoices_moved, dispatch_uid="webhooks.outbound.events")
