"""The buyer's page: what was bought, who it is for, and how far the invoice is. Works without JavaScript."""

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
from claims.communes import suggest
from claims.masking import masked
from claims.privacy import SCRIPT, STYLE, is_cross_site, keep_private
from claims.progress import progress_of
from config.base import clock
from config.models import Configuration
from invoices.lifecycle import State, WrongState
from invoices.models import Invoice, InvoiceFile
from invoices.opening.buyers import InvalidBuyer
from invoices.opening.money import Bill
from invoices.operations import claim
from invoices.operations.claim import Closed, Unknown, find
from merchants.models import Logo

log = get_logger(__name__)
View = Callable[..., HttpResponseBase]
TYPES = {"pdf": "application/pdf", "xml": "application/xml"}


def for_buyers(view: View) -> View:
    """In the buyer's language, kept private, and in plain words where something is missing."""

    @csrf_exempt  # see privacy.is_cross_site
    @wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        chosen = language.language_of(request)
        with translation.override(chosen):
            try:
                rates.count(kwargs["token"])
                response = view(request, **kwargs)
            except rates.TooOften as error:
                told = gettext("Please try again in a moment.")
                response = only_words(request, 429, gettext("We cannot look this up right now"), told)
                response.headers["Retry-After"] = str(error.seconds)
            except (Unknown, Http404):
                told = gettext("Please scan the code on your receipt again, or ask the seller for the link.")
                response = only_words(request, 404, gettext("This link leads to no invoice."), told)
            except (OperationalError, InterfaceError):
                log.exception("[claimPageUnavailable]")
                told = gettext("Please reload this page in a moment. If you sent a form, it is sent again.")
                response = only_words(request, 503, gettext("We cannot look this up right now"), told)
        response.headers["Content-Language"] = chosen
        if request.GET.get("lang") == chosen:
            language.remember(response, chosen)
        return keep_private(response)

    return answer


@for_buyers
@gzip_page  # a long receipt; the page answers nothing that another site could have typed
@conditional_page  # the page's script asks whether anything changed
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponseBase:
    """GET shows, POST claims or edits: 303 to the page, 422 with every problem, 409 taken, 410 closed."""
    if request.method != "POST":
        return _page(request, find(token))
    if is_cross_site(request):
        told = gettext("Please open the link and fill in the form there.")
        return only_words(request, 403, gettext("This form was sent by another site"), told)
    values = {key: str(value) for key, value in request.POST.items()}
    try:
        claim.claim(token, form.buyer_of(values, find(token).buyer))
    except InvalidBuyer as error:
        return _page(request, find(token), status=422, values=values, problems=error.problems)
    except Closed:
        return _page(request, find(token), status=410, refused=True)
    except WrongState:
        return _page(request, find(token), status=409, refused=True)
    done = redirect("claim-page", token=token)
    done.status_code = 303  # a reload shows the page and sends nothing twice
    return done


@for_buyers
@require_safe
def stub(request: HttpRequest, token: str) -> HttpResponseBase:
    """A slip for the till's printer, with the QR code of the claim link."""
    invoice = find(token)
    return show(request, "claims/stub.html", {"invoice": invoice, "logo": _logo(invoice), "qr": _qr(invoice)})


@for_buyers
@require_safe
def qr(request: HttpRequest, token: str) -> HttpResponseBase:
    return HttpResponse(_qr(find(token)), content_type="image/svg+xml")


@for_buyers
@require_safe
def file(request: HttpRequest, token: str, kind: str) -> HttpResponseBase:
    """The issued invoice's PDF or XML."""
    invoice = find(token)
    stored = InvoiceFile.objects.living().filter(invoice=invoice, kind=kind).first()
    if stored is None:
        raise Http404
    name = f"{invoice.legal_number}.{kind}"
    return FileResponse(stored.file.open(), content_type=TYPES[kind], as_attachment=True, filename=name)


def _qr(invoice: Invoice) -> SafeString:
    """The claim link's QR code as an SVG, scalable: its size is for the page to say."""
    picture = io.BytesIO()
    code = segno.make(invoice.claim_url, error="m")
    code.save(picture, kind="svg", border=4, light="white", xmldecl=False, omitsize=True, svgclass="qr", lineclass=None)
    return mark_safe(picture.getvalue().decode())  # noqa: S308  (drawn here)


@require_GET
def communes(request: HttpRequest) -> HttpResponse:
    answer = JsonResponse({"communes": suggest(request.GET.get("q", ""))}, json_dumps_params={"ensure_ascii": False})
    answer.headers["Cache-Control"] = "public, max-age=86400"  # they change by law, not by the day
    return answer


def show(request: HttpRequest, template: str, more: dict[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    shared = {"style": STYLE, "script": SCRIPT, "language": translation.get_language(), "languages": language.LANGUAGES}
    return render(request, template, shared | (more or {}), status=status)


def only_words(request: HttpRequest, status: int, headline: str, text: str) -> HttpResponse:
    return show(request, "claims/only_words.html", {"headline": headline, "text": text}, status=status)


def _page(
    request: HttpRequest,
    invoice: Invoice,
    *,
    status: int = 200,
    values: dict[str, str] | None = None,
    problems: dict[str, Any] | None = None,
    refused: bool = False,
) -> HttpResponse:
    files = set(InvoiceFile.objects.living().filter(invoice=invoice).values_list("kind", flat=True))
    progress = progress_of(invoice, has_files=len(files) == len(TYPES), now=clock.now())
    asked = values is not None or not invoice.buyer or "edit" in request.GET or invoice.state == State.FAILED
    editing = progress.is_open and asked
    more = {
        "invoice": invoice,
        "seller": invoice.config_snapshot["seller"],
        "bill": Bill.from_json(invoice.bill),
        "progress": progress,
        "refused": refused,
        "files": sorted(files),
        "logo": _logo(invoice),
        "still": "still" in request.GET,
        "notice": _notice(),
        "refresh": None if editing else progress.refresh,  # never under somebody's fingers
    }
    if editing:
        if values is None:
            values, problems = form.public_values_of(invoice.buyer), form.refused(invoice.failure_field)
        more |= {"form": form.form_of(values, problems or {}, invoice.buyer), "kinds": form.KINDS, "who": form.WHO}
    elif invoice.buyer:
        more["summary"] = _summary(invoice.buyer)
    return show(request, "claims/page.html", more, status=status)


def _notice() -> str:
    """What operators have to tell every buyer, such as a planned pause; a secret setting is told to nobody."""
    told = Configuration.objects.living().filter(key="claims.notice", is_secret=False)
    return told.values_list("value", flat=True).first() or ""


def _logo(invoice: Invoice) -> Logo | None:
    return Logo.objects.filter(merchant=invoice.merchant_id).first()


def _summary(buyer: dict[str, str]) -> list[tuple[Any, str]]:
    """Label and masked value, in the order of the form."""
    shown = form.values_of(masked(buyer))
    return [(f.label, shown[f.name]) for f in form.FIELDS if shown.get(f.name) and buyer["kind"] in f.kinds]
