"""The console's pages of incoming events, endpoints and deliveries."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.base import crypto, webhook_secrets
from config.console.actions import ActionAdmin
from config.console.admins import EditableAdmin, ReadOnlyAdmin
from config.console.cells import badge
from config.console.lists import WorklistFilter
from config.console.reasons import ReasonModelForm
from invoices.cells import as_json
from webhooks.actions import CloseEvent, RemoveEndpoint, ReplayDelivery, ReplayEvent
from webhooks.metrics import ANY_TYPE, KNOWN_TYPES, OTHER_TYPES, UNDELIVERED
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound.addresses import Forbidden, check_url

GRACE = timedelta(days=1)  # for receivers to switch to a new secret


class NotApplied(admin.SimpleListFilter):
    """Events that were refused or failed, by type, as the home page counts them."""

    title, parameter_name = "refused or failed", "not_applied"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        types = [(kind, kind) for kind in KNOWN_TYPES]
        return [(ANY_TYPE, "any type"), *types, (OTHER_TYPES, "unknown types")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        kind = self.value()
        if kind not in (ANY_TYPE, OTHER_TYPES, *KNOWN_TYPES):
            return queryset
        rows = queryset.filter(status__in=(WebhookEvent.Status.REFUSED, WebhookEvent.Status.FAILED))
        if kind == ANY_TYPE:
            return rows
        return rows.exclude(type__in=KNOWN_TYPES) if kind == OTHER_TYPES else rows.filter(type=kind)


@admin.register(WebhookEvent)
class WebhookEventAdmin(ActionAdmin, ReadOnlyAdmin):
    operator_actions = (ReplayEvent(), CloseEvent())
    list_display = (
        *("webhook_id", "type", "route", "result", "order_id", "answer_status", "tries"),
        *("secret_label", "created_at"),
    )
    list_filter = (NotApplied, "status", "route")
    link_filters = ("merchant_code", "order_id")
    search_fields = ("order_id", "webhook_id")
    search_help_text = "An order id or its beginning, or a whole webhook id. Lists end after 10,000 rows."
    fields = (
        ("route", "webhook_id", "type"),
        ("result", "tries", "not_before"),
        "error",
        ("order_id", "created_at", "secret_label"),
        "masked_body",
        ("answer_status", "formatted_answer"),
        "body_sha256",
    )
    readonly_fields = ("result", "masked_body", "formatted_answer", "created_at")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """The route is given because the index of ids begins with it."""
        by_id = Q(route__in=WebhookEvent.Route.values, webhook_id=search_term)
        return queryset.filter(Q(order_id__startswith=search_term) | by_id) if search_term else queryset, False

    @admin.display(description="status")
    def result(self, row: WebhookEvent) -> SafeString:
        return badge(row.status)

    @admin.display(description="body (buyers masked)")
    def masked_body(self, row: WebhookEvent) -> SafeString | str:
        try:
            return as_json(json.loads(row.body))
        except ValueError:
            return "not JSON"  # so it cannot be masked

    @admin.display(description="answer")
    def formatted_answer(self, row: WebhookEvent) -> SafeString | str:
        return as_json(row.answer)


class WebhookEndpointForm(ReasonModelForm):
    secret = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Never shown. Empty: no change. After a new one (whsec_ and base64), the others expire in a day.",
    )
    secret_label = forms.CharField(required=False, help_text='Names the secret, such as "2026-12".')

    class Meta:
        model = WebhookEndpoint
        fields = ("merchant", "url", "event_types", "disabled_reason")

    def clean_url(self) -> str:
        try:
            check_url(self.cleaned_data["url"])  # a name's addresses are checked at each call
        except Forbidden as error:
            raise forms.ValidationError(str(error)) from None
        return self.cleaned_data["url"]

    def clean_event_types(self) -> list[str]:
        types: Any = self.cleaned_data["event_types"] or []
        if not isinstance(types, list) or not all(isinstance(name, str) for name in types):
            raise forms.ValidationError('Enter a list of event types, such as ["invoice.issued"]. Empty: all types.')
        return types

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if secret := self.cleaned_data.get("secret"):
            try:
                webhook_secrets.size(secret)
            except ValueError as error:
                self.add_error("secret", f"This is not a webhook secret: {error}.")
            try:
                self.instance.check_label(self.cleaned_data.get("secret_label", ""))
            except ValueError as error:
                self.add_error("secret_label", str(error))
        return cleaned


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ActionAdmin, EditableAdmin):
    operator_actions = (RemoveEndpoint(),)
    form = WebhookEndpointForm
    fields = (
        *("merchant", "url", "event_types", "disabled_reason"),
        *("secret_labels", "secret", "secret_label"),
        ("created_at", "updated_at", "deleted_at"),
    )
    readonly_fields = ("secret_labels", "created_at", "updated_at", "deleted_at")
    autocomplete_fields = ("merchant",)
    list_display = ("url", "merchant", "event_types", "disabled_reason", "updated_at")
    list_filter = [
        (name, admin.EmptyFieldListFilter) for name in ("merchant", "disabled_reason", "failing_since", "deleted_at")
    ]
    list_select_related = ("merchant",)
    search_fields = ("url", "merchant__name", "merchant__code")
    ordering = ("url",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only users who may change secrets see their fields."""
        names = super().get_fields(request, obj)
        if self.has_change_permission(request, obj) or (obj is None and self.has_add_permission(request)):
            return names
        return [name for name in names if name not in ("secret_labels", "secret", "secret_label")]

    @admin.display(description="secrets")
    def secret_labels(self, row: WebhookEndpoint) -> str:
        try:
            secrets = row.live_secrets()
        except crypto.DecryptionFailed as error:
            return str(error)
        return ", ".join(
            f"{s.label} until {s.expires_at:%Y-%m-%d %H:%M} UTC" if s.expires_at else s.label for s in secrets
        )

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        if "disabled_reason" in form.changed_data and not obj.disabled_reason:
            obj.failing_since = obj.held_until = None  # enabled again: its failures start at zero
        super().save_model(request, obj, form, change)
        if secret := form.cleaned_data["secret"]:
            obj.rotate_secret(form.cleaned_data["secret_label"], GRACE, value=secret)


class DeliveryWorklistFilter(WorklistFilter):
    worklists = {"send": "to be sent"}

    def condition(self, name: str) -> Q:
        return UNDELIVERED


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActionAdmin, ReadOnlyAdmin):
    operator_actions = (ReplayDelivery(),)
    list_display = (
        "event_id",
        "type",
        "host",
        "result",
        "last_error",
        "created_at",
    )  # more overlap the filters
    list_filter = (DeliveryWorklistFilter, "state")
    link_filters = ("invoice__id__exact",)
    list_select_related = ("endpoint",)
    search_fields = ("event_id",)
    search_help_text = "A whole webhook id. Lists end after 10,000 rows."
    fields = (
        ("endpoint", "event_id", "type", "invoice"),
        ("result", "attempts", "not_before", "taken_at", "delivered_at"),
        ("last_status", "last_error"),
        ("created_at", "updated_at"),
        "shown_body",
    )
    readonly_fields = ("result", "shown_body", "created_at", "updated_at")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Look for the invoice or test id in the webhook id: the index of webhook ids begins with the endpoint."""
        if not search_term:
            return queryset, False
        first, _, last = search_term.rpartition("-")
        key, number = ("pk", last) if first == "test" else ("invoice", first)
        is_id = number.isdecimal() and int(number) < 2**63
        return queryset.filter(**{key: number}, event_id=search_term) if is_id else queryset.none(), False

    @admin.display(description="to")
    def host(self, row: WebhookDelivery) -> str:
        return urlsplit(row.endpoint.url).hostname or row.endpoint.url

    @admin.display(description="state")
    def result(self, row: WebhookDelivery) -> SafeString:
        return badge(row.state)

    @admin.display(description="body")
    def shown_body(self, row: WebhookDelivery) -> SafeString | str:
        return as_json(json.loads(row.body))
