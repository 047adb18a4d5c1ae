"""The API of webhook endpoints. A secret that we generate is shown once; no other secret is ever shown."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.base import webhook_secrets
from config.rest.fields import Body, Identifier, Integer, NullableText, Pattern, Text
from config.rest.problems import Problem, field_problem
from config.rest.scoping import ScopedViewSet
from merchants.models import Merchant
from webhooks.api.deliveries import DISABLED, DeliveryShape, ReplayedSince, ReplaySince
from webhooks.models import WebhookEndpoint
from webhooks.outbound import deliveries
from webhooks.outbound.addresses import Forbidden, check_url
from webhooks.outbound.events import TYPES, write_test_delivery

FIRST = "1"  # the label of a secret that came with its endpoint


class Secret(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=200,
            write_only=True,
            help_text="`whsec_` and base64. Default: generated.",
            **options,
        )

    def to_internal_value(self, data: Any) -> str:
        secret = super().to_internal_value(data)
        try:
            webhook_secrets.size(secret)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return secret


class EndpointPatch(Body):
    url = serializers.URLField(max_length=500)
    eventTypes = serializers.ListField(
        source="event_types", child=serializers.ChoiceField(TYPES), default=list, help_text="Empty: all types."
    )
    disabledReason = Text(
        source="disabled_reason",
        max_length=200,
        allow_blank=True,
        default="",
        help_text="Empty: it is enabled.",
    )

    def validate_url(self, url: str) -> str:
        try:
            check_url(url)  # a name's addresses are checked at each call
        except Forbidden as error:
            raise serializers.ValidationError(str(error)) from None
        return url


class NewEndpoint(EndpointPatch):
    merchantId = Identifier(
        source="merchant_code",
        allow_null=True,
        help_text="null: the platform, for all merchants.",
    )
    secret = Secret(required=False)


class SecretShown(serializers.Serializer):
    label = serializers.CharField()  # type: ignore[assignment]  # shadows Field.label
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True, help_text="null: not replaced yet.")


class EndpointShape(serializers.Serializer):
    endpointId = serializers.CharField(source="pk")
    merchantId = NullableText(source="merchant.code")
    url = serializers.CharField()
    eventTypes = serializers.ListField(source="event_types", child=serializers.CharField())
    disabledReason = serializers.CharField(source="disabled_reason")
    secrets = SecretShown(source="readable_secrets", many=True)
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")


class SecretMade(serializers.Serializer):
    secret = serializers.CharField(help_text="Shown only this once.")


class EndpointMade(EndpointShape, SecretMade):
    pass


class Rotation(Body):
    label = Pattern(rf"^{webhook_secrets.LABEL.pattern}\Z")  # type: ignore[assignment]
    graceHours = Integer(
        min_value=0, max_value=24 * 30, default=24, help_text="For this time deliveries carry both signatures."
    )
    secret = Secret(required=False)


class WebhookEndpoints(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = WebhookEndpoint.objects.select_related("merchant")
    serializer_class = EndpointShape
    lookup_url_kwarg = "endpointId"
    lookup_value_regex = "[0-9]{1,19}"
    merchant_path = "merchant__code"  # null for the platform's own, which only a platform token sees
    permission_of = {
        "list": "webhook.read",
        "retrieve": "webhook.read",
        "create": "webhook.write",
        "partial_update": "webhook.write",
        "destroy": "webhook.write",
        "rotate_secret": "webhook.write",
        "replay_since": "webhook.write",
        "send_test": "webhook.write",
    }
    conflicts = ("rotate_secret", "replay_since", "send_test")

    @extend_schema(request=NewEndpoint, responses={201: EndpointMade})
    def create(self, request: Request) -> Response:
        """Add an endpoint. Only this response ever shows the secret."""
        shape = NewEndpoint(data=request.data)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        code, given = values.pop("merchant_code"), values.pop("secret", "")
        self.check_may_act_for(code)
        merchant = Merchant.objects.not_deleted().filter(code=code).first() if code is not None else None
        if code is not None and merchant is None:
            raise field_problem("merchantId", "There is no such merchant.")
        row = WebhookEndpoint(merchant=merchant, **values)
        with transaction.atomic():
            self.save_row(row)
            secret = row.add_secret(FIRST, value=given)
        return Response({**EndpointShape(row).data, "secret": secret}, status=201)

    @extend_schema(request=EndpointPatch, responses={200: EndpointShape})
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change the given fields."""
        row = self.get_object()
        shape = EndpointPatch(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        if values.get("disabled_reason") == "":
            values |= {"failing_since": None, "held_until": None}  # enabled again: its failures start at zero
        self.update_row(row, values)
        return Response(EndpointShape(row).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        """Remove the endpoint: nothing more is sent to it. The row stays for the audit."""
        self.remove_row(self.get_object())
        return Response(status=204)

    @extend_schema(request=Rotation, responses={200: SecretMade})
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, **_: Any) -> Response:
        """Add a new secret, shown only in this response. The others expire after a grace. 409 `label_taken`."""
        row = self.get_object()
        shape = Rotation(data=request.data)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        try:
            grace = timedelta(hours=values["graceHours"])
            secret = row.rotate_secret(values["label"], grace, value=values.get("secret", ""))
        except ValueError as error:
            raise Problem(409, "label_taken", str(error)) from None
        return Response({"secret": secret})

    @extend_schema(request=ReplaySince, responses={200: ReplayedSince})
    @action(detail=True, methods=["post"], url_path="replay")
    def replay_since(self, request: Request, **_: Any) -> Response:
        """Send the deliveries since a time again, each with its `webhook-id`. 409 `disabled`."""
        row = self.get_object()
        shape = ReplaySince(data=request.data)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        dry_run = values["dryRun"]
        if not (row.is_on or dry_run):
            raise Problem(409, "disabled", DISABLED)
        count = deliveries.replay_since(
            row, values["since"], delivered=values["delivered"], dry_run=dry_run, actor=self.principal.actor
        )
        return Response({"acted": bool(count) and not dry_run, "count": count})

    @extend_schema(request=None, responses={200: DeliveryShape})
    @action(detail=True, methods=["post"], url_path="test")
    def send_test(self, request: Request, **_: Any) -> Response:
        """Send a `webhook.test`. The response is its delivery; get that again to see the result. 409 `disabled`."""
        row = self.get_object()
        if not row.is_on:
            raise Problem(409, "disabled", DISABLED)
        return Response(DeliveryShape(write_test_delivery(row)).data)
