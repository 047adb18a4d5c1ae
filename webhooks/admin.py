"""What machines told us, and who wants to be told."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.admin import Edited, Shown, ToDo
from config.base import crypto, webhook_secrets
from config.console.actions import Acting
from config.console.cells import badge
from config.console.reasons import Reasoned
from invoices.cells import as_json
from webhooks.actions import CloseEvent, RemoveEndpoint, ReplayDelivery, ReplayEvent
from webhooks.metrics import ANY, KNOWN, OTHER, TO_SEND
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound.addresses import Forbidden, check_url

GRACE = timedelta(days=1)  # in which a receiver may be told of a new secret


class NotActed(admin.SimpleListFilter):
    """What was refused or failed, by its type, as the home page counts it."""

    title, parameter_name = "not acted on", "not_acted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(ANY, "of any type"), *((kind, kind) for kind in KNOWN), (OTHER, "of a type that we do not know")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        kind = self.value()
        if kind not in (ANY, OTHER, *KNOWN):
            return queryset
        rows = queryset.filter(status__in=(WebhookEvent.Status.REFUSED, WebhookEvent.Status.FAILED))
        return rows if kind == ANY else rows.exclude(type__in=KNOWN) if kind == OTHER else rows.filter(type=kind)


@admin.register(WebhookEvent)
class WebhookEventAdmin(Acting, Shown):
    acts = (ReplayEvent(), CloseEvent())
    list_display = (
        *("webhook_id", "type", "route", "result", "order_id", "answer_status", "tries"),
        *("secret_label", "created_at"),
    )
    list_filter = (NotActed, "status", "route")
    linked = ("merchant_code", "order_id")
    search_fields = ("order_id", "webhook_id")
    search_help_text = "An order (or how it begins) or a whole webhook id. Lists end after 10,000 rows."
    fields = (
        ("route", "webhook_id", "type"),
        ("result", "tries", "not_before"),
        "error",
        ("order_id", "created_at", "secret_label"),
        "told",
        ("answer_status", "answered"),
        "body_sha256",
    )
    readonly_fields = ("result", "told", "answered", "created_at")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """The index of ids leads with their route."""
        of_id = Q(route__in=WebhookEvent.Route.values, webhook_id=search_term)
        return queryset.filter(Q(order_id__startswith=search_term) | of_id) if search_term else queryset, False

    @admin.display(description="status")
    def result(self, row: WebhookEvent) -> SafeString:
        return badge(row.status)

    @admin.display(description="body (buyers masked)")
    def told(self, row: WebhookEvent) -> SafeString | str:
        try:
            return as_json(json.loads(row.body))
        except ValueError:
            return "not JSON"  # and so nothing that could be masked

    @admin.display(description="answer")
    def answered(self, row: WebhookEvent) -> SafeString | str:
        return as_json(row.answer)


class WebhookEndpointForm(Reasoned):
    secret = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Never shown; empty keeps what there is. A new one (whsec_ and base64) ends the others in a day.",
    )
    secret_label = forms.CharField(required=False, help_text='Tells the secrets apart, such as "2026-12".')

    class Meta:
        model = WebhookEndpoint
        fields = ("merchant", "url", "event_types", "disabled_reason")

    def clean_url(self) -> str:
        try:
            check_url(self.cleaned_data["url"])  # a name is judged when it is resolved, each time
        except Forbidden as error:
            raise forms.ValidationError(str(error)) from None
        return self.cleaned_data["url"]

    def clean_event_types(self) -> list[str]:
        types: Any = self.cleaned_data["event_types"] or []
        if not isinstance(types, list) or not all(isinstance(name, str) for name in types):
            raise forms.ValidationError('A list of event types, such as ["invoice.issued"]; empty takes all of them.')
        return types

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if secret := self.cleaned_data.get("secret"):
            try:
                webhook_secrets.size(secret)
            except ValueError as error:
                self.add_error("secret", f"This is no webhook secret: {error}.")
            try:
                self.instance.check_label(self.cleaned_data.get("secret_label", ""))
            except ValueError as error:
                self.add_error("secret_label", str(error))
        return cleaned


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Acting, Edited):
    acts = (RemoveEndpoint(),)
    form = WebhookEndpointForm
    fields = (
        *("merchant", "url", "event_types", "disabled_reason"),
        *("secrets_kept", "secret", "secret_label"),
        ("created_at", "updated_at", "deleted_at"),
    )
    readonly_fields = ("secrets_kept", "created_at", "updated_at", "deleted_at")
    autocomplete_fields = ("merchant",)
    list_display = ("url", "merchant", "event_types", "disabled_reason", "updated_at")
    list_filter = [
        (name, admin.EmptyFieldListFilter) for name in ("merchant", "disabled_reason", "failing_since", "deleted_at")
    ]
    list_select_related = ("merchant",)
    search_fields = ("url", "merchant__name", "merchant__code")
    ordering = ("url",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Secrets, and how many there are, are for those who may change them."""
        shown = super().get_fields(request, obj)
        if self.has_change_permission(request, obj) or (obj is None and self.has_add_permission(request)):
            return shown
        return [name for name in shown if name not in ("secrets_kept", "secret", "secret_label")]

    @admin.display(description="secrets")
    def secrets_kept(self, row: WebhookEndpoint) -> str:
        try:
            kept = row.live_secrets()
        except crypto.CannotOpen as error:
            return str(error)
        return ", ".join(
            f"{s.label} until {s.expires_at:%Y-%m-%d %H:%M} UTC" if s.expires_at else s.label for s in kept
        )

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        if "disabled_reason" in form.changed_data and not obj.disabled_reason:
            obj.failing_since = obj.held_until = None  # on again: its failures start anew
        super().save_model(request, obj, form, change)
        if secret := form.cleaned_data["secret"]:
            obj.rotate_secret(form.cleaned_data["secret_label"], GRACE, value=secret)


class DeliveriesToDo(ToDo):
    words = {"send": "to be sent"}

    def condition(self, name: str) -> Q:
        return TO_SEND


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Acting, Shown):
    acts = (ReplayDelivery(),)
    list_display = ("event_id", "type", "to", "result", "last_error", "created_at")  # more lies over the filters
    list_filter = (DeliveriesToDo, "state")
    linked = ("invoice__id__exact",)
    list_select_related = ("endpoint",)
    search_fields = ("event_id",)
    search_help_text = "A whole webhook id. Lists end after 10,000 rows."
    fields = (
        ("endpoint", "event_id", "type", "invoice"),
        ("result", "attempts", "not_before", "taken_at", "delivered_at"),
        ("last_status", "last_error"),
        ("created_at", "updated_at"),
        "told",
    )
    readonly_fields = ("result", "told", "created_at", "updated_at")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """An id tells its invoice, or of a test its row (see news): the index of ids leads with the endpoint."""
        if not search_term:
            return queryset, False
        of, _, last = search_term.rpartition("-")
        key, number = ("pk", last) if of == "test" else ("invoice", of)
        known = number.isdecimal() and int(number) < 2**63
        return queryset.filter(**{key: number}, event_id=search_term) if known else queryset.none(), False

    @admin.display(description="to")
    def to(self, row: WebhookDelivery) -> str:
        return urlsplit(row.endpoint.url).hostname or row.endpoint.url

    @admin.display(description="state")
    def result(self, row: WebhookDelivery) -> SafeString:
        return badge(row.state)

    @admin.display(description="body")
    def told(self, row: WebhookDelivery) -> SafeString | str:
        return as_json(json.loads(row.body))
