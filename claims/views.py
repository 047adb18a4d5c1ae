"""The buyer's page: the sale, the buyer, and the progress of the invoice. Works without JavaScript."""

import io
from collections.abc import Callable
from functools import wraps
from typing import Any

import segno
from django.db import InterfaceError, OperationalError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, require_GET, require_http_methods, require_safe
from structlog.stdlib import get_logger

from claims import form, language, rates
from claims.communes import suggest_communes
from claims.masking import mask_buyer
from claims.privacy import SCRIPT, STYLE, is_cross_site, keep_private
from claims.progress import progress_of
from config.base import clock
from config.models import Configuration
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceFile
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.money import Bill
from invoices.operations import claim
from invoices.operations.claim import Closed, UnknownToken, find_claimable
from merchants.models import Logo

log = get_logger(__name__)
View = Callable[..., HttpResponseBase]
TYPES = {"pdf": "application/pdf", "xml": "application/xml"}


def for_buyers(view: View) -> View:
    """Sets the buyer's language and the private headers, and turns errors into pages."""

    @csrf_exempt  # see privacy.is_cross_site
    @wraps(view)
    def wrapped(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        chosen = language.language_of(request)
        with translation.override(chosen):
            try:
                rates.count_visit(kwargs["token"])
                response = view(request, **kwargs)
            except rates.TooManyRequests as error:
                text = gettext("Please try again in a moment.")
                response = message_page(request, 429, gettext("This page is not available right now"), text)
                response.headers["Retry-After"] = str(error.seconds)
            except (UnknownToken, Http404):
                text = gettext("Please scan the code on your receipt again, or ask the seller for the link.")
                response = message_page(request, 404, gettext("This link does not lead to an invoice."), text)
            except (OperationalError, InterfaceError):
                log.exception("[claimPageUnavailable]")
                text = gettext(
                    "Please reload this page in a moment. If you have just sent the form, it will be sent again."
                )
                response = message_page(request, 503, gettext("This page is not available right now"), text)
        response.headers["Content-Language"] = chosen
        if request.GET.get("lang") == chosen:
            language.remember(response, chosen)
        return keep_private(response)

    return wrapped


@for_buyers
@gzip_page  # for long receipts; safe, because the page reflects no input of other sites
@conditional_page  # for the page's script, which polls
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponseBase:
    """GET shows; POST claims or edits: 303 to the page, 422 with every problem, 409 taken, 410 closed."""
    if request.method != "POST":
        return _page(request, find_claimable(token))
    if is_cross_site(request):
        text = gettext("Please open the link and fill in the form there.")
        return message_page(request, 403, gettext("This form was sent from another site"), text)
    values = {key: str(value) for key, value in request.POST.items()}
    try:
        claim.claim(token, form.read_buyer(values, find_claimable(token).buyer))
    except InvalidBuyer as error:
        return _page(request, find_claimable(token), status=422, values=values, problems=error.problems)
    except Closed:
        return _page(request, find_claimable(token), status=410, too_late=True)
    except WrongState:
        return _page(request, find_claimable(token), status=409, too_late=True)
    response = redirect("claim-page", token=token)
    response.status_code = 303  # a reload then shows the page and does not send the form again
    return response


@for_buyers
@require_safe
def stub(request: HttpRequest, token: str) -> HttpResponseBase:
    """A slip for the receipt printer, with the QR code of the claim link."""
    invoice = find_claimable(token)
    return render_page(request, "claims/stub.html", {"invoice": invoice, "logo": _logo(invoice), "qr": _qr(invoice)})


@for_buyers
@require_safe
def qr(request: HttpRequest, token: str) -> HttpResponseBase:
    return HttpResponse(_qr(find_claimable(token)), content_type="image/svg+xml")


@for_buyers
@require_safe
def file(request: HttpRequest, token: str, kind: str) -> HttpResponseBase:
    """The issued invoice's PDF or XML."""
    invoice = find_claimable(token)
    stored = InvoiceFile.objects.not_deleted().filter(invoice=invoice, kind=kind).first()
    if stored is None:
        raise Http404
    name = f"{invoice.legal_number}.{kind}"
    return FileResponse(stored.file.open(), content_type=TYPES[kind], as_attachment=True, filename=name)


def _qr(invoice: Invoice) -> SafeString:
    """The claim link's QR code as an SVG. Its size is set by the page."""
    picture = io.BytesIO()
    code = segno.make(invoice.claim_url, error="m")
    code.save(picture, kind="svg", border=4, light="white", xmldecl=False, omitsize=True, svgclass="qr", lineclass=None)
    return mark_safe(picture.getvalue().decode())  # noqa: S308  (drawn here)


@require_GET
def communes(request: HttpRequest) -> HttpResponse:
    names = suggest_communes(request.GET.get("q", ""))
    response = JsonResponse({"communes": names}, json_dumps_params={"ensure_ascii": False})
    response.headers["Cache-Control"] = "public, max-age=86400"  # they change by law, not daily
    return response


def render_page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    shared = {"style": STYLE, "script": SCRIPT, "language": translation.get_language(), "languages": language.LANGUAGES}
    return render(request, template, shared | context, status=status)


def message_page(request: HttpRequest, status: int, headline: str, text: str) -> HttpResponse:
    return render_page(request, "claims/message.html", {"headline": headline, "text": text}, status=status)


def _page(
    request: HttpRequest,
    invoice: Invoice,
    *,
    status: int = 200,
    values: dict[str, str] | None = None,
    problems: dict[str, Any] | None = None,
    too_late: bool = False,
) -> HttpResponse:
    files = set(InvoiceFile.objects.not_deleted().filter(invoice=invoice).values_list("kind", flat=True))
    progress = progress_of(invoice, has_files=len(files) == len(TYPES), now=clock.now())
    wants_form = values is not None or not invoice.buyer or "edit" in request.GET or invoice.state == State.FAILED
    editing = progress.is_open and wants_form
    context = {
        "invoice": invoice,
        "seller": invoice.config_snapshot["seller"],
        "bill": Bill.from_json(invoice.bill),
        "progress": progress,
        "too_late": too_late,
        "files": sorted(files),
        "logo": _logo(invoice),
        "paused": "paused" in request.GET,
        "notice": _notice(),
        "refresh": None if editing else progress.refresh,  # never while a form is open
    }
    if editing:
        if values is None:
            values, problems = (
                form.public_form_values(invoice.buyer),
                form.problem_of_refused_field(invoice.failure_field),
            )
        context |= {
            "form": form.build_form(values, problems or {}, invoice.buyer),
            "kinds": form.KINDS,
            "kind_label": form.KIND_LABEL,
        }
    elif invoice.buyer:
        context["summary"] = _summary(invoice.buyer)
    return render_page(request, "claims/page.html", context, status=status)


def _notice() -> str:
    """The operators' notice to every buyer, such as planned maintenance. A secret setting is never shown."""
    notices = Configuration.objects.not_deleted().filter(key="claims.notice", is_secret=False)
    return notices.values_list("value", flat=True).first() or ""


def _logo(invoice: Invoice) -> Logo | None:
    return Logo.objects.filter(merchant=invoice.merchant_id).first()


def _summary(buyer: dict[str, str]) -> list[tuple[Any, str]]:
    """Labels and masked values, in the order of the form."""
    values = form.form_values(mask_buyer(buyer))
    return [(f.label, values[f.name]) for f in form.FIELDS if values.get(f.name) and buyer["kind"] in f.kinds]
