"""Bulk runs in the console: chosen from the invoices' list, tried dry, confirmed with a reason, watched, aborted."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from config.console import action_log
from config.console.actions import ReasonForm
from config.console.admins import ReadOnlyAdmin
from invoices.models import BulkItem, BulkRun, Invoice
from invoices.operations import bulk
from invoices.operations.bulk_verbs import VERBS


def page_of(run: BulkRun) -> str:
    return reverse("admin:invoices_bulkrun_change", args=[run.pk])


class Bulk(admin.ModelAdmin):
    """The invoices' list with a run for each verb that the user has."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        runs = {
            f"bulk_{name}": (_choose(name), f"bulk_{name}", f"{verb.label} all of them …")
            for name, verb in VERBS.items()
            if request.user.has_perm(verb.permission)
        }
        return {**super().get_actions(request), **runs}


def _choose(verb: str) -> Callable[[Any, HttpRequest, QuerySet[Invoice]], HttpResponse | None]:
    def choose(page: Any, request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponse | None:
        by_hand = request.POST.get("select_across", "0") != "1"
        selection = "by hand" if by_hand else request.GET.urlencode() or "every invoice"
        try:
            run = bulk.create_run(verb, invoices, user_id=int(request.user.pk or 0), selection=selection)
        except bulk.TooMany as error:
            messages.error(request, str(error))
            return None
        action_log.write(int(request.user.pk or 0), run, f"Chosen: {selection}")
        return HttpResponseRedirect(page_of(run))

    return choose


@admin.register(BulkRun)
class BulkRunAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "user", "reason", "selection", "created_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("user",)
    change_form_template = "invoices/bulk_run.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/confirm/", view(self.confirm), name="invoices_bulkrun_confirm"),
            path("<int:pk>/abort/", view(self.abort), name="invoices_bulkrun_abort"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        run = kwargs["obj"]
        counts = run.counts()
        tried = run.state == BulkRun.State.PREVIEWING
        of, done = (counts["total"], counts["previewed"]) if tried else (counts["would_act"], _dealt_with(counts))
        would, done_items = run.items.filter(would_act=True), run.items.exclude(outcome="")
        context |= {
            "run": run,
            "verb": VERBS[run.verb],
            "counts": counts,
            "of": of,
            "done": done,
            "would": bulk.count_reasons(would.filter(outcome="")),
            "would_not": bulk.count_reasons(run.items.filter(would_act=False)),
            "outcomes": [
                (name, bulk.count_reasons(done_items.filter(outcome=name))) for name in BulkItem.Outcome.values
            ],
            "form": ReasonForm(),
            "still": "still" in request.GET,
            "may": request.user.has_perm(VERBS[run.verb].permission),
            "title": f"{VERBS[run.verb].label}: {counts['total']:,} invoices",
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def confirm(self, request: HttpRequest, pk: int) -> HttpResponse:
        run, form = self._asked(request, pk), ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Please give a reason.")
        elif bulk.confirm(run, user_id=int(request.user.pk or 0), reason=form.cleaned_data["reason"]):
            action_log.write(int(request.user.pk or 0), run, f"Confirmed: {form.cleaned_data['reason']}")
        else:
            messages.warning(request, "It was not waiting to be confirmed.")
        return HttpResponseRedirect(page_of(run))

    def abort(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self._asked(request, pk)
        if bulk.abort(run):
            action_log.write(int(request.user.pk or 0), run, "Stopped" if run.started_at else "Dropped")
        else:
            messages.warning(request, "It had ended already.")
        return HttpResponseRedirect(page_of(run))

    def _asked(self, request: HttpRequest, pk: int) -> BulkRun:
        run = get_object_or_404(BulkRun, pk=pk)
        if not request.user.has_perm(VERBS[run.verb].permission) or request.method != "POST":
            raise PermissionDenied
        return run


def _dealt_with(counts: dict[str, int]) -> int:
    return sum(counts[name] for name in BulkItem.Outcome.values)
