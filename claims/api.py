"""The page's JSON twin, for the platform's apps: the same content and the same claim as the page."""

import json
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from claims import language, rates
from claims.masking import mask_buyer
from claims.privacy import keep_private
from config.base import clock
from config.rest.problems import problem
from invoices.lifecycle import WrongState
from invoices.models import Invoice
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.money import Bill
from invoices.operations import claim
from invoices.operations.claim import Closed, UnknownToken, is_open


@csrf_exempt  # cookies are not used here: the token authenticates
@require_http_methods(["GET", "PUT"])
def twin(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows; PUT `{"buyer": {…}}` claims or edits. Errors: 404, 409 taken, 410 closed, 422 with `fields`."""
    with translation.override(language.language_of(request)):
        return keep_private(_respond(request, token))


def _respond(request: HttpRequest, token: str) -> HttpResponse:
    try:
        rates.count_visit(token)
        invoice = claim.find_claimable(token) if request.method == "GET" else claim.claim(token, _buyer(request))
        return JsonResponse(claim_body(invoice), json_dumps_params={"ensure_ascii": False})
    except rates.TooManyRequests as error:
        response = problem(429, "too_many_requests", gettext("Please try again in a moment."))
        response.headers["Retry-After"] = str(error.seconds)
        return response
    except UnknownToken:
        return problem(404, "not_found", gettext("This link does not lead to an invoice."))
    except json.JSONDecodeError:
        return problem(400, "not_json", gettext("The request body is not valid JSON."))
    except Closed:
        return problem(410, "closed", gettext("The deadline for requesting this invoice has passed."))
    except WrongState:
        return problem(
            409,
            "taken",
            gettext("The invoice is being issued or has already been issued, so it can no longer be changed."),
        )
    except InvalidBuyer as error:
        fields = {field: str(message) for field, message in error.problems.items()}
        return problem(422, "invalid_buyer", gettext("Some details are missing or incorrect."), fields=fields)
    except (OperationalError, InterfaceError):
        response = problem(503, "database", gettext("Please try again in a moment."))
        response.headers["Retry-After"] = "5"
        return response


def _buyer(request: HttpRequest) -> Any:
    """The buyer: the body itself, or its member `buyer`. Raises JSONDecodeError."""
    try:
        body = json.loads(request.body)
    except (UnicodeDecodeError, RecursionError):  # not UTF-8, or nested too deeply
        raise json.JSONDecodeError("unreadable", "", 0) from None
    return body.get("buyer", body) if isinstance(body, dict) else body


def claim_body(invoice: Invoice) -> dict[str, Any]:
    """An invoice as its link shows it. The buyer is masked: anyone who has the link can read this."""
    bill = Bill.from_json(invoice.bill)
    kinds = invoice.files.values_list("kind", flat=True)
    deadline, claimed, issued = invoice.claim_deadline, invoice.claimed_at, invoice.issued_at
    return {
        "sourceId": invoice.order_id,
        "state": invoice.state,
        "editable": is_open(invoice, clock.now()),
        "claimUrl": invoice.claim_url,
        "claimDeadline": _local(deadline),
        "claimedAt": _local(claimed),
        "seller": {"name": invoice.config_snapshot["merchant"]["name"], **_public(invoice.config_snapshot["seller"])},
        "buyer": mask_buyer(invoice.buyer) or None,
        "lines": [
            {
                "name": line.name,
                "unit": line.unit or None,
                "quantity": line.quantity,
                "vatRate": line.vat_rate or None,
                "net": line.net,
                "vat": line.vat,
                "total": line.gross,
            }
            for line in bill.lines
        ],
        "currency": "VND",
        "net": bill.net,
        "vat": bill.vat,
        "total": bill.total,
        "form": invoice.form,
        "symbol": invoice.symbol,
        "number": invoice.number or None,
        "code": invoice.code or None,
        "issueDate": invoice.issue_date.isoformat(),
        "issuedAt": _local(issued),
        "lookupCode": invoice.lookup_code or None,
        "lookupUrl": invoice.lookup_url or None,
        "files": {kind: reverse("claim-file", args=[invoice.claim_token, kind]) for kind in sorted(kinds)},
    }


def _public(seller: dict[str, str]) -> dict[str, str]:
    return {field: seller[field] for field in ("legalName", "taxCode", "address")}


def _local(instant: Any) -> str | None:
    return instant.astimezone(clock.VIETNAM).isoformat() if instant else None
