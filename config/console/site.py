"""The operators' console: Django's admin site, with grouped lists and a home page that shows the day."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse

GROUPS = {  # the sidebar: heading and lists; lists that are missing here come last
    "Invoices": [
        "invoices.Invoice", "invoices.InvoiceIssuance", "invoices.InvoiceFile", "invoices.InvoiceAuditTracing",
        "invoices.AuditVerification",
        "invoices.BulkRun",
    ],
    "Sales": ["invoices.Payment", "invoices.Refund", "invoices.InvoiceRequest"],
    "Merchants": [
        "merchants.Merchant", "merchants.TaxInfo", "merchants.ProviderAccount", "merchants.MerchantChange",
        "merchants.AdministrativeUnit",
    ],
    "Webhooks": [
        "webhooks.WebhookEvent", "webhooks.WebhookDelivery", "webhooks.WebhookEndpoint", "merchants.Quarantine",
    ],
    "Administration": ["invoices.Partition", "config.Configuration", "invoices.LegalRules", "auth.User", "auth.Group"],
}  # fmt: skip


class Console(AdminSite):
    site_header = site_title = "Hoadon"
    index_title = "Today"
    home_context: Callable[[HttpRequest], dict[str, Any]] = staticmethod(lambda request: {})  # see invoices.admin

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**self.home_context(request), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The lists that the user may see, grouped for the sidebar. With `app_label`: Django's list of that app."""
        apps = super().get_app_list(request, app_label)
        if app_label:
            return apps
        lists = {f"{app['app_label']}.{model['object_name']}": model for app in apps for model in app["models"]}
        groups = [(name, [lists.pop(label) for label in labels if label in lists]) for name, labels in GROUPS.items()]
        groups.append(("More", list(lists.values())))
        return [{"name": name, "app_label": "", "app_url": "", "models": models} for name, models in groups if models]
