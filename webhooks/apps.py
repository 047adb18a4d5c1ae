from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from invoices.moving import invoices_moved
        from webhooks import news

        invoices_moved.connect(news.hear, dispatch_uid="webhooks.news")
