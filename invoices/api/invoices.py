"""Invoices: list, open without a payment event, replay, and the audit, attempts and files of one."""

from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.rest.paging import BySequence
from config.rest.problems import Problem
from config.rest.scoping import ScopedViewSet
from invoices.api import bodies, filters
from invoices.api.sales import open_sale
from invoices.api.shapes import (
    InvoiceShape,
    IssuanceShape,
    Parked,
    Replay,
    ReplayedShape,
    TracingShape,
    WholeInvoiceShape,
)
from invoices.lifecycle import WrongState
from invoices.models import Invoice, InvoiceFile
from invoices.operations.replay import replay

LARGE = ("sold", "bill", "document", "config_snapshot", "buyer")  # columns that lists omit
TYPES = {"pdf": "application/pdf", "xml": "application/xml"}


class Invoices(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = Invoice.objects.select_related("merchant")
    serializer_class = WholeInvoiceShape
    lookup_url_kwarg = "invoiceId"
    lookup_value_regex = "[0-9]{1,19}"
    merchant_path = "merchant__code"
    permission_of = {
        "list": "invoice.read",
        "retrieve": "invoice.read",
        "create": "invoice.issue",
        "replay": "invoice.replay",
        "tracings": "audit.read",
        "issuances": "invoice.read",
        "files": "invoice.read",
    }
    conflicts = ("create", "replay")

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "principal": self.request.auth}

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.action != "list":
            return queryset
        rows = Invoice.objects.not_deleted().select_related("merchant")  # narrowed by merchant ids instead of a join
        given = filters.parse_filters(filters.InvoiceFilters, self.request.query_params)
        return filters.filter_invoices(rows, given, self.principal).defer(*LARGE)

    @extend_schema(parameters=[filters.InvoiceFilters], responses={200: InvoiceShape(many=True)})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first, without buyers and lines."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(InvoiceShape(page, many=True).data)

    @extend_schema(request=bodies.SALE, responses={201: WholeInvoiceShape, 200: WholeInvoiceShape, 202: Parked})
    def create(self, request: Request) -> Response:
        """Open the invoice of an order without a payment event.

        Idempotent by merchant and order: 201 new; 200 with the existing invoice if the sale is equal; 409
        `order_conflict` if it is not. 202: the merchant cannot issue yet; the invoice opens once it can.
        """
        sale: Any = request.data
        opening = open_sale(sale, self.principal)
        if opening.invoice is None:
            of = {"sourceId": sale["orderId"], "merchantId": sale["merchantId"]}
            return Response({"outcome": "parked", "parked": opening.parked, **of}, 202)
        return Response(self.get_serializer(opening.invoice).data, 200 if opening.outcome == "exists" else 201)

    @extend_schema(request=Replay, responses={200: ReplayedShape})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, **_: Any) -> Response:
        """Send or look up again, whichever cannot issue twice. Idempotent. 409 `wrong_state` if neither is possible."""
        invoice = self.get_object()
        body = Replay(data=request.data)
        body.is_valid(raise_exception=True)
        reason, dry_run = body.validated_data["reason"], body.validated_data["dryRun"]
        try:
            result = replay(invoice, actor=self.principal.actor, reason=reason, dry_run=dry_run)
        except WrongState as error:
            raise Problem(409, "wrong_state", str(error)) from None
        return Response(ReplayedShape(result).data)

    @extend_schema(responses={200: TracingShape(many=True)})
    @action(detail=True, pagination_class=BySequence)
    def tracings(self, request: Request, **_: Any) -> Response:
        """The audit: each step with its time, actor and reason. Oldest first."""
        page = self.paginate_queryset(self.get_object().tracings.all())
        return self.get_paginated_response(TracingShape(page, many=True).data)

    @extend_schema(responses={200: IssuanceShape(many=True)})
    @action(detail=True)
    def issuances(self, request: Request, **_: Any) -> Response:
        """The attempts at the provider, newest first."""
        page = self.paginate_queryset(self.get_object().issuances.not_deleted().defer("response"))
        return self.get_paginated_response(IssuanceShape(page, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("kind", str, "path", enum=("pdf", "xml"))],
        responses={(200, content): OpenApiTypes.BINARY for content in TYPES.values()},
    )
    @action(detail=True, url_path="files/(?P<kind>pdf|xml)")
    def files(self, request: Request, kind: str, **_: Any) -> FileResponse:
        """The issued invoice as the provider produced it. 404 until it is fetched."""
        invoice = self.get_object()
        file = InvoiceFile.objects.not_deleted().filter(invoice=invoice, kind=kind).first()
        if file is None:
            raise NotFound("The invoice has no such file yet.")
        name = f"{invoice.legal_number}.{kind}"
        return FileResponse(file.file.open(), content_type=TYPES[kind], as_attachment=True, filename=name)
