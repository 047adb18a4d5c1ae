"""The search box's page: opens the only exact hit, else lists all hits."""

import structlog
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from invoices.search import Kind, run_search

log = structlog.stdlib.get_logger(__name__)


@require_http_methods(["GET", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """POST `q`: a search text may be personal, and request bodies are not logged. GET shows the empty page."""
    if not request.user.has_perm("invoices.view_invoice"):
        raise PermissionDenied
    text = request.POST.get("q", "").strip()
    context = {**admin.site.each_context(request), "title": "Search"}
    if not text:
        return render(request, "invoices/search.html", context)
    results = run_search(text, request.user.has_perm)
    kinds = sorted({Kind(hit.how).name.lower() for hit in results.hits})
    # Never the text itself.
    log.info("[search]", actor=f"user:{request.user.pk}", kind=",".join(kinds), count=len(results.hits))
    if results.only_hit:
        return redirect(results.only_hit.link)
    return render(request, "invoices/search.html", {**context, "text": text, "results": results})
