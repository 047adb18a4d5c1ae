"""Bulk runs: started from the list of invoices, previewed by a dry run, confirmed with a reason, watched, stopped."""

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

OUTCOME_TITLES = {
    BulkItem.Outcome.ACTED: "Done",
    BulkItem.Outcome.DECLINED: "Rejected",
    BulkItem.Outcome.FAILED: "Failed with an internal error",
}


def run_url(run: BulkRun) -> str:
    return reverse("admin:invoices_bulkrun_change", args=[run.pk])


class BulkAdmin(admin.ModelAdmin):
    """Adds to the list of invoices one list action for each verb that the user may use."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        runs = {
            f"bulk_{name}": (_list_action(name), f"bulk_{name}", f"{verb.label} selected invoices …")
            for name, verb in bulk.VERBS.items()
            if request.user.has_perm(verb.permission)
        }
        return {**super().get_actions(request), **runs}


def _list_action(verb: str) -> Callable[[Any, HttpRequest, QuerySet[Invoice]], HttpResponse | None]:
    def start_run(page: Any, request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponse | None:
        across_pages = request.POST.get("select_across", "0") == "1"
        selection = (request.GET.urlencode() or "all invoices") if across_pages else "selected by hand"
        try:
            run = bulk.create_run(verb, invoices, user_id=int(request.user.pk or 0), selection=selection)
        except bulk.TooMany as error:
            messages.error(request, str(error))
            return None
        action_log.write(int(request.user.pk or 0), run, f"Selected: {selection}")
        return HttpResponseRedirect(run_url(run))

    return start_run


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
        if run.state == BulkRun.State.PREVIEWING:
            total, done = counts["total"], counts["previewed"]
        else:
            total, done = counts["would_act"], sum(counts[name] for name in BulkItem.Outcome.values)
        will_act, done_items = run.items.filter(would_act=True), run.items.exclude(outcome="")
        context |= {
            "run": run,
            "verb": bulk.VERBS[run.verb],
            "counts": counts,
            "total": total,
            "done": done,
            "will_act": bulk.count_reasons(will_act.filter(outcome="")),
            "skipped": bulk.count_reasons(run.items.filter(would_act=False)),
            "outcomes": [
                (t, bulk.count_reasons(done_items.filter(outcome=name))) for name, t in OUTCOME_TITLES.items()
            ],
            "form": ReasonForm(),
            "paused": "paused" in request.GET,
            "may_act": request.user.has_perm(bulk.VERBS[run.verb].permission),
            "title": f"{bulk.VERBS[run.verb].label}: {counts['total']:,} invoices",
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def confirm(self, request: HttpRequest, pk: int) -> HttpResponse:
        run, form = self._posted_run(request, pk), ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Please give a reason.")
        elif bulk.confirm(run, user_id=int(request.user.pk or 0), reason=form.cleaned_data["reason"]):
            action_log.write(int(request.user.pk or 0), run, f"Confirmed: {form.cleaned_data['reason']}")
        else:
            messages.warning(request, "It was not waiting for confirmation.")
        return HttpResponseRedirect(run_url(run))

    def abort(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self._posted_run(request, pk)
        if bulk.abort(run):
            action_log.write(int(request.user.pk or 0), run, "Stopped" if run.started_at else "Discarded")
        else:
            messages.warning(request, "It had already ended.")
        return HttpResponseRedirect(run_url(run))

    def _posted_run(self, request: HttpRequest, pk: int) -> BulkRun:
        run = get_object_or_404(BulkRun, pk=pk)
        if not request.user.has_perm(bulk.VERBS[run.verb].permission) or request.method != "POST":
            raise PermissionDenied
        return run
