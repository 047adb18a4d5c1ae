"""Invoice requests: list the buyer details of orders, and add new ones."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from config.rest.scoping import ScopedViewSet
from invoices.api import bodies, filters
from invoices.api.sales import store_request
from invoices.api.shapes import InvoiceRequestShape
from invoices.models import InvoiceRequest


class InvoiceRequests(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = InvoiceRequest.objects.all()
    serializer_class = InvoiceRequestShape
    lookup_url_kwarg = "invoiceRequestId"
    lookup_value_regex = "[0-9]{1,19}"
    merchant_path = "merchant_code"
    permission_of = {"list": "invoice.read", "retrieve": "invoice.read", "create": "invoice.write"}
    conflicts = ("create",)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.action != "list":
            return queryset
        return filters.filter_requests(
            queryset, filters.parse_filters(filters.RequestFilters, self.request.query_params), self.principal
        )

    @extend_schema(parameters=[filters.RequestFilters])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(request=bodies.REQUEST, responses={201: InvoiceRequestShape, 200: InvoiceRequestShape})
    def create(self, request: Request) -> Response:
        """Add an order's buyer details, before or after its payment.

        Idempotent by merchant, order and requestId: 201 new; 200 if it is equal; 409 `request_conflict` if it is
        not. A request after the first send is stored with `tooLate`.
        """
        row, is_new = store_request(request.data, self.principal)
        return Response(self.get_serializer(row).data, 201 if is_new else 200)
