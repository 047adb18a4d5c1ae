"""Operator actions: buttons on the console's rows. Each has a page that shows a preview and asks for a reason.

An action calls the same function as the API. If that function writes no audit row, the action writes one LogEntry
per row (see action_log).
"""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from config.base.discovery import app_parts
from config.console import action_log

MAX_ROWS = 100  # of one action page; bulk runs are for more


class Rejected(Exception):
    """The action is not possible. The message is shown to the operator."""


class ReasonForm(forms.Form):
    """Every action asks for a reason. The form's other fields are passed to the action as keyword arguments."""

    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 80}),
        help_text="Kept for ever, with your name. Please enter no personal data.",
    )

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix, self.row = "", row

    def params(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}


class OperatorAction:
    """`preview` and `perform` raise one of `rejects` if the row does not allow the action; nothing has changed then."""

    name: ClassVar[str]  # in addresses
    label: ClassVar[str]  # on the button
    permissions: tuple[str, ...]  # all of them are needed
    description: ClassVar[str]  # one sentence: its effect and its limits
    form: ClassVar[type[ReasonForm]] = ReasonForm
    states: ClassVar[Sequence[str]] = ()  # of a row that allow it; empty: all
    for_many_rows: ClassVar[bool] = False  # may be started from the list, for several rows
    logged: ClassVar[bool] = True  # by a LogEntry
    uses_network: ClassVar[bool] = False  # then it runs outside a transaction
    rejects: ClassVar[tuple[type[Exception], ...]] = (Rejected,)

    def disabled_reason(self, row: Any) -> str:
        """Why the button is disabled; "" when it is enabled. Cheap: it may read the row only."""
        return f"not while it is {row.state}" if self.states and row.state not in self.states else ""

    def preview(self, row: Any, **params: Any) -> SafeString | str:
        """A description of the effect, for the page."""
        return ""

    def perform(self, row: Any, *, actor: str, reason: str, **params: Any) -> str:
        """Perform the action. Returns the result as a phrase."""
        raise NotImplementedError

    def row_version(self, row: Any) -> object:
        """A value that changes when a preview of the row may no longer hold."""
        return getattr(row, "updated_at", "")


class ActionAdmin(admin.ModelAdmin):
    """A model admin whose rows have operator actions: its own, and those that other apps add in their actions.py."""

    operator_actions: tuple[OperatorAction, ...] = ()
    change_form_template = "actions/change_form.html"

    def all_operator_actions(self) -> list[OperatorAction]:
        added = [actions.get(self.opts.label, []) for actions in app_parts("actions", "ACTIONS")]
        return [*self.operator_actions, *(action() for actions in added for action in actions)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        name = self._url_name().partition(":")[2]
        return [path("actions/<slug:name>/", view, name=name), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        permitted = self._permitted(request)
        from_list = {f"action_{action.name}": _list_action(action) for action in permitted if action.for_many_rows}
        return {**super().get_actions(request), **from_list}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        context |= {"action_buttons": self.action_buttons(request, row) if row else []}
        return super().render_change_form(request, context, *args, **kwargs)

    def action_buttons(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """The buttons of the actions that this user may perform, enabled ones first."""
        buttons = [
            {
                "label": action.label,
                "description": action.description,
                "disabled_reason": action.disabled_reason(row),
                "url": self.url_of(action, [row.pk]),
            }
            for action in self._permitted(request)
        ]
        return sorted(buttons, key=lambda button: bool(button["disabled_reason"]))

    def url_of(self, action: OperatorAction, ids: Sequence[Any]) -> str:
        return f"{reverse(self._url_name(), args=[action.name])}?{urlencode({'row': ids}, doseq=True)}"

    def action_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The page of an action. A POST with `confirm` performs it if the preview is still what the operator saw."""
        action = next((action for action in self.all_operator_actions() if action.name == name), None)
        if action is None:
            raise Http404
        if not request.user.has_perms(action.permissions) or not self.has_view_permission(request):
            raise PermissionDenied
        rows = self._rows(request, action)
        form = action.form(request.POST or None, row=rows[0])
        params = form.params() if form.is_bound and form.is_valid() else None
        has_params = action.form is not ReasonForm
        previews, problems = [], []
        for row in rows:
            try:
                if reason := action.disabled_reason(row):
                    raise Rejected(f"This is not possible: {reason}.")
                if params is not None or not has_params:
                    previews.append((row, action.preview(row, **(params or {}))))
            except action.rejects as error:
                problems.append((row, str(error)))
        # The preview counts as well as the row's version: other rows and the clock may change it.
        shown = [(action.row_version(row), str(text)) for row, text in previews]
        seen = hashlib.sha256(repr([shown, params or {}]).encode()).hexdigest()
        confirmed = params is not None and "confirm" in request.POST and previews
        if confirmed and request.POST.get("seen") == seen:
            return self._perform_all(request, action, [row for row, _ in previews], form, params or {})
        if confirmed:
            messages.warning(request, "Something has changed since this page was opened. Please check it again.")
        context = {
            **self.admin_site.each_context(request),
            "title": action.label, "action": action, "rows": rows, "form": form, "previews": previews,
            "problems": problems, "seen": seen, "opts": self.opts, "media": self.media + form.media,
            "has_params": has_params, "back": self._back_url(rows),
        }  # fmt: skip
        status = 409 if problems and not previews else 200
        return TemplateResponse(request, "actions/action.html", context, status=status)

    def _perform_all(
        self, request: HttpRequest, action: OperatorAction, rows: list[Any], form: ReasonForm, params: dict[str, Any]
    ) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        for row in rows:
            try:
                if action.uses_network:
                    result = self._perform(request, action, row, reason, params)
                else:
                    with transaction.atomic():
                        result = self._perform(request, action, row, reason, params)
            except action.rejects as error:
                messages.error(request, f"{row}: {error}")
            else:
                messages.success(request, f"{row}: {result}." if len(rows) > 1 else f"{action.label}: {result}.")
        return HttpResponseRedirect(self._back_url(rows))

    def _perform(
        self, request: HttpRequest, action: OperatorAction, row: Any, reason: str, params: dict[str, Any]
    ) -> str:
        result = action.perform(row, actor=f"user:{request.user.pk}", reason=reason, **params)
        if action.logged:
            action_log.write(int(request.user.pk or 0), row, f"{action.label}: {reason} – {result}")
        return result

    def _rows(self, request: HttpRequest, action: OperatorAction) -> list[Any]:
        ids = request.GET.getlist("row")[: MAX_ROWS if action.for_many_rows else 1]
        rows = [self.get_object(request, pk) for pk in ids]
        rows = [row for row in rows if row is not None and self.has_view_permission(request, row)]
        if not rows:
            raise Http404
        return rows

    def _permitted(self, request: HttpRequest) -> list[OperatorAction]:
        return [action for action in self.all_operator_actions() if request.user.has_perms(action.permissions)]

    def _back_url(self, rows: list[Any]) -> str:
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{page}_change", args=[rows[0].pk]) if len(rows) == 1 else reverse(f"{page}_changelist")

    def _url_name(self) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_action"


def _list_action(action: OperatorAction) -> tuple[Any, str, str]:
    """Django's form of an action in a list: function, name and label."""

    def open_page(page: ActionAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        ids = list(rows.values_list("pk", flat=True)[: MAX_ROWS + 1])
        if len(ids) > MAX_ROWS:
            messages.warning(request, f"At most {MAX_ROWS} at once: these are the first ones.")
        return HttpResponseRedirect(page.url_of(action, ids[:MAX_ROWS]))

    return open_page, f"action_{action.name}", f"{action.label} …"
