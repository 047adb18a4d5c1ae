"""The API of deliveries: list and resend them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.rest.fields import Body, Boolean, NullableText
from config.rest.problems import Problem, field_problem
from config.rest.scoping import ScopedViewSet
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound import deliveries

DISABLED = "The endpoint is disabled: enable it first."


class DeliveryShape(serializers.Serializer):
    deliveryId = serializers.CharField(source="pk")
    endpointId = serializers.CharField(source="endpoint_id")
    eventId = serializers.CharField(source="event_id", help_text="The `webhook-id`, the same at every attempt.")
    type = serializers.CharField()
    invoiceId = NullableText(source="invoice_id")
    state = serializers.ChoiceField(WebhookDelivery.State.choices)
    attempts = serializers.IntegerField(help_text="Since the delivery was written or last replayed.")
    lastStatus = serializers.IntegerField(source="last_status", allow_null=True, help_text="null: no response.")
    lastError = serializers.CharField(source="last_error")
    nextAttemptAt = serializers.DateTimeField(source="next_attempt_at", allow_null=True)
    deliveredAt = serializers.DateTimeField(source="delivered_at", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")


class WholeDeliveryShape(DeliveryShape):
    body = serializers.CharField(help_text="Exactly as it is sent.")


class DeliveryFilters(serializers.Serializer):
    endpointId = serializers.RegexField(r"^[0-9]{1,18}\Z", required=False)
    invoiceId = serializers.RegexField(r"^[0-9]{1,18}\Z", required=False)
    state = serializers.ChoiceField(
        WebhookDelivery.State.choices, required=False, help_text="Needs `endpointId` or `invoiceId`."
    )


class ReplaySince(Body):
    since = serializers.DateTimeField(help_text="Deliveries written from then on.")
    delivered = Boolean(default=False, help_text="Also those that arrived, for a receiver that lost its data.")
    dryRun = Boolean(default=False, help_text="Only return their number.")


class ReplayedSince(serializers.Serializer):
    acted = serializers.BooleanField()
    count = serializers.IntegerField()


class WebhookDeliveries(mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = WebhookDelivery.objects.select_related("endpoint")
    serializer_class = WholeDeliveryShape
    lookup_url_kwarg = "deliveryId"
    lookup_value_regex = "[0-9]{1,19}"
    merchant_path = "endpoint__merchant__code"
    permission_of = {"list": "webhook.read", "retrieve": "webhook.read", "replay": "webhook.write"}
    conflicts = ("replay",)

    @extend_schema(parameters=[DeliveryFilters], responses={200: DeliveryShape(many=True)})
    def list(self, request: Request) -> Response:
        """Newest first, without bodies."""
        page = self.paginate_queryset(self._filtered())
        return self.get_paginated_response(DeliveryShape(page, many=True).data)

    @extend_schema(request=None, responses={200: DeliveryShape})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, **_: Any) -> Response:
        """Send the delivery again now, with the same `webhook-id`. 409 `disabled` if the endpoint is disabled."""
        row = self.get_object()
        if not row.endpoint.is_on:
            raise Problem(409, "disabled", DISABLED)
        deliveries.replay_one(row, actor=self.principal.actor)
        row.refresh_from_db()
        return Response(DeliveryShape(row).data)

    def _filtered(self) -> QuerySet[WebhookDelivery]:
        filters = DeliveryFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        values = filters.validated_data
        if "state" in values and not values.keys() & {"endpointId", "invoiceId"}:
            raise field_problem("endpointId", "Filtering by state needs an endpoint or an invoice.", "filter_too_wide")
        rows = WebhookDelivery.objects.not_deleted().defer("body")
        if not self.principal.is_platform:  # explicit ids: the planner misjudges a join
            endpoints = self.principal.filter_rows(WebhookEndpoint.objects.all(), "merchant__code")
            rows = rows.filter(endpoint__in=list(endpoints.values_list("pk", flat=True)))
        names = {"endpointId": "endpoint", "invoiceId": "invoice", "state": "state"}
        return rows.filter(**{names[name]: value for name, value in values.items()})
