"""Acts: what operators may do to rows, each on a page that first shows what will happen and wants a reason.

An act calls the same function as the API. Where that function writes no audit of its own, one LogEntry a row tells
who did what and why.
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

from config.base.discovery import offered
from config.console.action_log import log

MOST = 100  # rows that one page acts on; bulk runs are for more


class Declined(Exception):
    """What an operator asks for cannot be. The message is shown."""


class Why(forms.Form):
    """Every act wants a reason. What else a form asks for is handed to the act by its name."""

    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 80}),
        help_text="Kept for ever, with your name. No personal data, please.",
    )

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix, self.row = "", row

    def told(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}


class Act:
    """`foresee` and `do` raise one of `declines` where the row does not allow it: nothing has changed."""

    name: ClassVar[str]  # in addresses
    label: ClassVar[str]  # on the button
    permissions: tuple[str, ...]  # all of them
    about: ClassVar[str]  # a sentence: what it does and what it does not
    form: ClassVar[type[Why]] = Why
    states: ClassVar[Sequence[str]] = ()  # that it fits; empty: all
    many: ClassVar[bool] = False  # on several rows at once, from their list
    logged: ClassVar[bool] = True  # by a LogEntry
    networked: ClassVar[bool] = False  # then no transaction is open around it
    declines: ClassVar[tuple[type[Exception], ...]] = (Declined,)

    def hindered(self, row: Any) -> str:
        """Why its button is off, or nothing. Cheap: it may look at the row alone."""
        return f"not while it is {row.state}" if self.states and row.state not in self.states else ""

    def foresee(self, row: Any, **told: Any) -> SafeString | str:
        """What will happen, as the page shows it."""
        return ""

    def do(self, row: Any, *, actor: str, reason: str, **told: Any) -> str:
        """Act, and say what has happened."""
        raise NotImplementedError

    def mark(self, row: Any) -> object:
        """Changes when what was foreseen may no longer hold."""
        return getattr(row, "updated_at", "")


class Acting(admin.ModelAdmin):
    """A model's pages with the acts that may be done to its rows."""

    acts: tuple[Act, ...] = ()
    change_form_template = "acts/change_form.html"

    def all_acts(self) -> list[Act]:
        added = [actions.get(self.opts.label, []) for actions in offered("actions", "ACTIONS")]
        return [*self.acts, *(act() for acts in added for act in acts)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("acts/<slug:name>/", view, name=self._url_name().partition(":")[2]), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        several = {f"act_{act.name}": _from_the_list(act) for act in self._permitted(request) if act.many}
        return {**super().get_actions(request), **several}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        context |= {"acts": self.acts_on(request, row) if row else []}
        return super().render_change_form(request, context, *args, **kwargs)

    def acts_on(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """The buttons that this user has; those that do not fit the row say why."""
        buttons = [
            {"label": act.label, "about": act.about, "hindered": act.hindered(row), "url": self.url_of(act, [row.pk])}
            for act in self._permitted(request)
        ]
        return sorted(buttons, key=lambda button: bool(button["hindered"]))

    def url_of(self, act: Act, ids: Sequence[Any]) -> str:
        return f"{reverse(self._url_name(), args=[act.name])}?{urlencode({'row': ids}, doseq=True)}"

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        act = next((act for act in self.all_acts() if act.name == name), None)
        if act is None:
            raise Http404
        if not request.user.has_perms(act.permissions) or not self.has_view_permission(request):
            raise PermissionDenied
        rows = self._rows(request, act)
        form = act.form(request.POST or None, row=rows[0])
        told = form.told() if form.is_bound and form.is_valid() else None
        asks_more = act.form is not Why
        foreseen, problems = [], []
        for row in rows:
            try:
                if hindered := act.hindered(row):
                    raise Declined(f"It is not possible: {hindered}.")
                if told is not None or not asks_more:
                    foreseen.append((row, act.foresee(row, **(told or {}))))
            except act.declines as error:
                problems.append((row, str(error)))
        shown = [(act.mark(row), str(what)) for row, what in foreseen]  # other rows and the clock may change it too
        seen = hashlib.sha256(repr([shown, told or {}]).encode()).hexdigest()
        confirmed = told is not None and "confirm" in request.POST and foreseen
        if confirmed and request.POST.get("seen") == seen:
            return self._perform(request, act, [row for row, _ in foreseen], form, told or {})
        if confirmed:
            messages.warning(request, "Something has changed since this page was drawn. Please look again.")
        context = {
            **self.admin_site.each_context(request),
            "title": act.label, "act": act, "rows": rows, "form": form, "foreseen": foreseen, "problems": problems,
            "seen": seen, "opts": self.opts, "media": self.media + form.media, "asks_more": asks_more,
            "back": self._back(request, rows),
        }  # fmt: skip
        return TemplateResponse(request, "acts/act.html", context, status=409 if problems and not foreseen else 200)

    def _perform(self, request: HttpRequest, act: Act, rows: list[Any], form: Why, told: Any) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        for row in rows:
            try:
                if act.networked:
                    what = self._do(request, act, row, reason, told)
                else:
                    with transaction.atomic():
                        what = self._do(request, act, row, reason, told)
            except act.declines as error:
                messages.error(request, f"{row}: {error}")
            else:
                messages.success(request, f"{row}: {what}." if len(rows) > 1 else f"{act.label}: {what}.")
        return HttpResponseRedirect(self._back(request, rows))

    def _do(self, request: HttpRequest, act: Act, row: Any, reason: str, told: dict[str, Any]) -> str:
        what = act.do(row, actor=f"user:{request.user.pk}", reason=reason, **told)
        if act.logged:
            log(int(request.user.pk or 0), row, f"{act.label}: {reason} – {what}")
        return what

    def _rows(self, request: HttpRequest, act: Act) -> list[Any]:
        found = [self.get_object(request, pk) for pk in request.GET.getlist("row")[: MOST if act.many else 1]]
        rows = [row for row in found if row is not None and self.has_view_permission(request, row)]
        if not rows:
            raise Http404
        return rows

    def _permitted(self, request: HttpRequest) -> list[Act]:
        return [act for act in self.all_acts() if request.user.has_perms(act.permissions)]

    def _back(self, request: HttpRequest, rows: list[Any]) -> str:
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{page}_change", args=[rows[0].pk]) if len(rows) == 1 else reverse(f"{page}_changelist")

    def _url_name(self) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_act"


def _from_the_list(act: Act) -> tuple[Any, str, str]:
    def ask(page: Acting, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        ids = list(rows.values_list("pk", flat=True)[: MOST + 1])
        if len(ids) > MOST:
            messages.warning(request, f"At most {MOST} at once: these are the first.")
        return HttpResponseRedirect(page.url_of(act, ids[:MOST]))

    return ask, f"act_{act.name}", f"{act.label} …"
