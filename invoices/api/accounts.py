"""Provider accounts: a login at a vendor. Logins go in and never come out."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.base.crypto import CannotOpen
from config.rest.fields import Body, Flag, Identifier, Pattern, Text, Whole
from config.rest.problems import Problem, at_fault
from config.rest.scoping import Scoped
from invoices.issuing.parked_accounts import probe
from invoices.providers import PROVIDERS
from merchants.models import Merchant, ProviderAccount

SHOWN = 4  # letters of a login, at its end, and only of one twice as long


class Credentials(Body):
    username = Text(max_length=200)
    password = Text(max_length=200, trim_whitespace=False)


class CredentialsShown(serializers.Serializer):
    lastFour = serializers.CharField(allow_null=True, help_text="Of the user name.")
    fingerprint = serializers.CharField(help_text="Tells a change without telling the login.")


class AccountChange(Body):
    baseUrl = serializers.URLField(source="base_url", max_length=200, help_text="Scheme and host.")
    template = Text(max_length=20, allow_blank=True, default="", help_text="The vendor's name of the form: 1/001.")
    credentials = Credentials()
    inFlight = Whole(
        source="in_flight", min_value=1, max_value=1000, allow_null=True, default=None, help_text="Sends open at once."
    )
    isActive = Flag(source="is_active", default=True)
    paused = Flag(default=False, help_text="An operator's stop.")

    def validate_baseUrl(self, url: str) -> str:
        parts = urlsplit(url)
        allowed = ("https", "http") if settings.DEVELOPMENT else ("https",)
        if parts.scheme not in allowed or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in url:
            raise serializers.ValidationError(f"This must be {' or '.join(allowed)}:// and a host, without a path.")
        return url.rstrip("/")


class NewAccount(AccountChange):
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

    @extend_schema_field(CredentialsShown)
    def get_credentials(self, row: ProviderAccount) -> dict[str, str | None]:
        try:
            username = row.credentials.get("username", "")
        except CannotOpen:
            username = ""
        ends = username[-SHOWN:] if len(username) >= 2 * SHOWN else None
        return {"lastFour": ends, "fingerprint": row.credentials_mark}


class Probed(serializers.Serializer):
    ok = serializers.BooleanField()
    problem = serializers.CharField(allow_null=True)


class ProviderAccounts(mixins.ListModelMixin, mixins.RetrieveModelMixin, Scoped):
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
        """Add a lane: one login, one form, one symbol. 409 `exists` where the merchant has it."""
        shape = NewAccount(data=request.data)
        shape.is_valid(raise_exception=True)
        told = shape.validated_data
        code, credentials = told.pop("merchant_code"), told.pop("credentials")
        self.check_acts_for(code)
        merchant = Merchant.objects.living().filter(code=code).first()
        if merchant is None:
            raise at_fault("merchantId", "There is no such merchant.")
        row = ProviderAccount(merchant=merchant, **told)
        row.set_credentials(credentials)
        try:
            with transaction.atomic():
                self.keep(row)
        except IntegrityError:
            raise Problem(409, "exists", "The merchant has an account with this form and symbol.") from None
        return Response(AccountShape(row).data, status=201)

    @extend_schema(request=AccountChange, responses={200: AccountShape})
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given. Another host needs the login again: it is sent to no host that it was not given for."""
        row = self.get_object()
        shape = AccountChange(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        told = shape.validated_data
        credentials = told.pop("credentials", None)
        if credentials:
            if set(credentials) != {"username", "password"}:
                raise at_fault("credentials", "A login is changed as a whole: give the username and the password.")
            row.set_credentials(credentials)
            told |= {"sealed_credentials": row.sealed_credentials, "credentials_mark": row.credentials_mark}
        elif told.get("base_url", row.base_url) != row.base_url:
            raise at_fault("credentials", "Another host gets no login that it was not given: give it again.")
        self.change(row, told)
        return Response(AccountShape(row).data)

    @extend_schema(request=None, responses={200: Probed})
    @action(detail=True, methods=["post"])
    def probe(self, request: Request, **_: Any) -> Response:
        """Try the login and the symbol at the provider, reading only. 409 `not_ready` where there is nothing to try."""
        row = self.get_object()
        if not row.sealed_credentials or not hasattr(row.merchant, "tax_info"):
            raise Problem(409, "not_ready", "The account has no login, or the merchant no tax data.")
        wrong = probe(row)
        return Response({"ok": not wrong, "problem": wrong or None})
