"""The API of merchants and their tax data. `merchantId` is always the platform's code."""

from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.rest.fields import Body, Boolean, Identifier, Integer, Pattern, Text
from config.rest.problems import Problem
from config.rest.scoping import ScopedViewSet
from merchants import tax_codes
from merchants.models import CLAIM_WINDOW_MAX, AdministrativeUnit, Merchant, TaxInfo


class MerchantPatch(Body):
    name = Text(max_length=200)
    isActive = Boolean(source="is_active", default=True)
    claimWindow = Integer(
        source="claim_window", min_value=0, max_value=CLAIM_WINDOW_MAX, default=CLAIM_WINDOW_MAX, help_text="Minutes."
    )
    unclaimed = serializers.ChoiceField(Merchant.Unclaimed.choices, default=Merchant.Unclaimed.CONSUMER)
    consumerFallback = Boolean(source="consumer_fallback", default=True)
    mailsBuyer = Boolean(source="mails_buyer", default=True)


class MerchantShape(MerchantPatch):
    merchantId = Identifier(source="code")
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)
    updatedAt = serializers.DateTimeField(source="updated_at", read_only=True)


class TaxInfoShape(Body):
    taxCode = Text(source="tax_code", max_length=20)
    legalName = Text(source="legal_name", max_length=400)
    address = Text(max_length=400)
    communeCode = Pattern(r"^[0-9]{1,5}\Z", source="commune_id", allow_null=True, default=None)
    email = serializers.EmailField(max_length=254, allow_blank=True, default="")
    phone = Text(max_length=20, allow_blank=True, default="")
    method = serializers.ChoiceField(TaxInfo.Method.choices, help_text="`deduction`: form 1. `direct`: form 2.")
    updatedAt = serializers.DateTimeField(source="updated_at", read_only=True)

    def validate_taxCode(self, text: str) -> str:
        try:
            return tax_codes.check(text)
        except tax_codes.InvalidTaxCode as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_communeCode(self, code: str | None) -> str | None:
        communes = AdministrativeUnit.objects.filter(level=AdministrativeUnit.Level.COMMUNE)
        if code is not None and not communes.filter(pk=code).exists():
            raise serializers.ValidationError("There is no commune with this code.")
        return code


class Merchants(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = Merchant.objects.all()
    serializer_class = MerchantShape
    lookup_field = "code"
    lookup_url_kwarg = "merchantId"
    lookup_value_regex = "[^/]+"
    merchant_path = "code"
    permission_of = {
        "list": "merchant.read",
        "retrieve": "merchant.read",
        "create": "merchant.write",
        "partial_update": "merchant.write",
        "tax_info": "merchant.read",
        "put_tax_info": "merchant.write",
    }
    conflicts = ("create",)

    @extend_schema(request=MerchantShape, responses={201: MerchantShape})
    def create(self, request: Request) -> Response:
        """Add a merchant. 409 `exists` if the code has ever been used."""
        shape = MerchantShape(data=request.data)
        shape.is_valid(raise_exception=True)
        merchant = Merchant(**shape.validated_data)
        self.check_may_act_for(merchant.code)
        try:
            with transaction.atomic():
                self.save_row(merchant)
        except IntegrityError:
            raise Problem(409, "exists", "A merchant with this code exists already.") from None
        return Response(MerchantShape(merchant).data, status=201)

    @extend_schema(request=MerchantPatch, responses={200: MerchantShape})
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change the given fields. Invoices that exist already keep the policy that they were opened with."""
        merchant = self.get_object()
        shape = MerchantPatch(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        self.update_row(merchant, shape.validated_data)
        return Response(MerchantShape(merchant).data)

    @extend_schema(responses={200: TaxInfoShape})
    @action(detail=True, url_path="tax-info")
    def tax_info(self, request: Request, **_: Any) -> Response:
        """The seller as the tax authority knows them."""
        info = TaxInfo.objects.not_deleted().filter(merchant=self.get_object()).first()
        if info is None:
            raise NotFound("The merchant has no tax data.")
        return Response(TaxInfoShape(info).data)

    @extend_schema(request=TaxInfoShape, responses={200: TaxInfoShape})
    @tax_info.mapping.put
    def put_tax_info(self, request: Request, **_: Any) -> Response:
        """Set or replace the tax data. The invoices of payments that were parked without it then open automatically."""
        merchant = self.get_object()
        shape = TaxInfoShape(data=request.data)
        shape.is_valid(raise_exception=True)
        with transaction.atomic():
            Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)  # two requests may both be the first
            info = TaxInfo.objects.filter(merchant=merchant).first() or TaxInfo(merchant=merchant)
            for name, value in {**shape.validated_data, "deleted_at": None}.items():
                setattr(info, name, value)
            self.save_row(info)
        return Response(TaxInfoShape(info).data)
