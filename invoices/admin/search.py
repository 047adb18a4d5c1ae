"""The search box's answer: the page itself where there is one, a list where there are several."""

import structlog
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from invoices.search import Kind, find

log = structlog.stdlib.get_logger(__name__)


@require_http_methods(["GET", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """POST `q`: what is typed may be personal, and bodies are logged by nobody. GET is the empty box."""
    if not request.user.has_perm("invoices.view_invoice"):
        raise PermissionDenied
    text = request.POST.get("q", "").strip()
    context = {**admin.site.each_context(request), "title": "Search"}
    if not text:
        return render(request, "invoices/search.html", context)
    found = find(text, request.user.has_perm)
    kinds = sorted({Kind(hit.how).name.lower() for hit in found.hits})
    log.info("[search]", actor=f"user:{request.user.pk}", kind=",".join(kinds), count=len(found.hits))  # never the text
    if found.sole:
        return redirect(found.sole.link)
    return render(request, "invoices/search.html", {**context, "text": text, "found": found})
