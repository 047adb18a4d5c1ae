"""Provider accounts: a login at a provider. Logins are write-only."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.base.crypto import DecryptionFailed
from config.rest.fields import Body, Boolean, Identifier, Integer, Pattern, Text
from config.rest.problems import Problem, field_problem
from config.rest.scoping import ScopedViewSet
from invoices.issuing.parked_accounts import probe
from invoices.providers import PROVIDERS
from merchants.models import Merchant, ProviderAccount

SHOWN = 4  # last characters of a username; none if it is shorter than twice that


class Credentials(Body):
    username = Text(max_length=200)
    password = Text(max_length=200, trim_whitespace=False)


class MaskedCredentials(serializers.Serializer):
    lastFour = serializers.CharField(allow_null=True, help_text="Of the username.")
    fingerprint = serializers.CharField(help_text="Differs when the login changes, without revealing it.")


class AccountPatch(Body):
    baseUrl = serializers.URLField(source="base_url", max_length=200, help_text="Scheme and host.")
    template = Text(max_length=20, allow_blank=True, default="", help_text="The vendor's name of the form: 1/001.")
    credentials = Credentials()
    inFlight = Integer(
        source="in_flight", min_value=1, max_value=1000, allow_null=True, default=None, help_text="Sends open at once."
    )
    isActive = Boolean(source="is_active", default=True)
    paused = Boolean(default=False, help_text="If true, nothing is sent.")

    def validate_baseUrl(self, url: str) -> str:
        parts = urlsplit(url)
        allowed = ("https", "http") if settings.DEVELOPMENT else ("https",)
        if parts.scheme not in allowed or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in url:
            raise serializers.ValidationError(f"This must be {' or '.join(allowed)}:// and a host, without a path.")
        return url.rstrip("/")


class NewAccount(AccountPatch):
    merchantId = Identifier(source="merchant_code")
    provider = serializers.ChoiceField(sorted(PROVIDERS))
    form = Pattern(r"^[1-9]\Z")
    symbol = Pattern(r"^[CK][0-9]{2}[TDLMNBGHXF][A-Z0-9]{2}\Z")


class AccountShape(serializers.Serializer):
    accountId = serializers.CharField(source="pk")
    merchantId = serializers.CharField(source="merchant.code")
    provider = serializers.CharField()
    baseUrl = serializers.CharField(source="base_url")
    form = serializers.CharField()
    symbol = serializers.CharField()
    template = serializers.CharField()
    credentials = serializers.SerializerMethodField()
    inFlight = serializers.IntegerField(source="in_flight", allow_null=True)
    isActive = serializers.BooleanField(source="is_active")
    paused = serializers.BooleanField()
    parkedUntil = serializers.DateTimeField(source="parked_until", allow_null=True)
    parkedReason = serializers.CharField(source="parked_reason")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    @extend_schema_field(MaskedCredentials)
    def get_credentials(self, row: ProviderAccount) -> dict[str, str | None]:
        try:
            username = row.credentials.get("username", "")
        except DecryptionFailed:
            username = ""
        ends = username[-SHOWN:] if len(username) >= 2 * SHOWN else None
        return {"lastFour": ends, "fingerprint": row.credentials_fingerprint}


class ProbeResult(serializers.Serializer):
    ok = serializers.BooleanField()
    problem = serializers.CharField(allow_null=True)


class ProviderAccounts(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = ProviderAccount.objects.select_related("merchant")
    serializer_class = AccountShape
    lookup_url_kwarg = "accountId"
    lookup_value_regex = "[0-9]{1,19}"
    merchant_path = "merchant__code"
    permission_of = {
        "list": "merchant.read",
        "retrieve": "merchant.read",
        "create": "credential.write",
        "partial_update": "credential.write",
        "probe": "credential.write",
    }
    conflicts = ("create", "probe")

    @extend_schema(request=NewAccount, responses={201: AccountShape})
    def create(self, request: Request) -> Response:
        """Add an account: one login, one form, one symbol. 409 `exists` if the merchant already has it."""
        shape = NewAccount(data=request.data)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        code, credentials = values.pop("merchant_code"), values.pop("credentials")
        self.check_may_act_for(code)
        merchant = Merchant.objects.not_deleted().filter(code=code).first()
        if merchant is None:
            raise field_problem("merchantId", "There is no such merchant.")
        row = ProviderAccount(merchant=merchant, **values)
        row.set_credentials(credentials)
        try:
            with transaction.atomic():
                self.save_row(row)
        except IntegrityError:
            raise Problem(409, "exists", "The merchant has an account with this form and symbol.") from None
        return Response(AccountShape(row).data, status=201)

    @extend_schema(request=AccountPatch, responses={200: AccountShape})
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change the given fields.

        Changing the host requires entering the login again: a login is sent only to its own host.
        """
        row = self.get_object()
        shape = AccountPatch(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        credentials = values.pop("credentials", None)
        if credentials:
            if set(credentials) != {"username", "password"}:
                raise field_problem("credentials", "Give both the username and the password.")
            row.set_credentials(credentials)
            changed = ("encrypted_credentials", "credentials_fingerprint")
            values |= {name: getattr(row, name) for name in changed}
        elif values.get("base_url", row.base_url) != row.base_url:
            raise field_problem("credentials", "Changing the host requires entering the login again.")
        self.update_row(row, values)
        return Response(AccountShape(row).data)

    @extend_schema(request=None, responses={200: ProbeResult})
    @action(detail=True, methods=["post"])
    def probe(self, request: Request, **_: Any) -> Response:
        """Test the login and the symbol at the provider, read-only. 409 `not_ready` without a login or tax data."""
        row = self.get_object()
        if not row.encrypted_credentials or not hasattr(row.merchant, "tax_info"):
            raise Problem(409, "not_ready", "The account has no login, or the merchant has no tax data.")
        problem = probe(row)
        return Response({"ok": not problem, "problem": problem or None})
