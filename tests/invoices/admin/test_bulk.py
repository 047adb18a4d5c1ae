"""Bulk runs in the console: selection, preview, confirmation, permissions."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.urls import reverse

from invoices.lifecycle import State
from invoices.models import BulkRun, Invoice
from invoices.operations import bulk
from tests import cast
from tests.invoices.admin.action_rows import dead_letters, member_of
from tests.invoices.bulk_runs import WHY, S, create_run, work_until

pytestmark = pytest.mark.django_db
LIST = "/admin/invoices/invoice/"


@pytest.fixture
def operator(client: Any) -> Any:
    call_command("loaddata", "permissions", verbosity=0)
    client.force_login(member_of("operator"))
    return client


def press(client: Any, verb: str, rows: list[Invoice], across: bool = False, query: str = "") -> Any:
    form = {"action": f"bulk_{verb}", "_selected_action": [row.pk for row in rows], "select_across": int(across)}
    return client.post(LIST + query, form)


def test_all_invoices_of_the_filtered_list_are_selected_not_only_the_page(operator: Any) -> None:
    dead_letters(60)
    page = list(Invoice.objects.filter(state=State.FAILED)[:50])
    answer = press(operator, "replay", page, across=True, query="?state__exact=FAILED")
    run = BulkRun.objects.get()
    assert answer["Location"] == f"/admin/invoices/bulkrun/{run.pk}/change/"
    assert (run.items.count(), run.selection, run.user.username) == (60, "state__exact=FAILED", "operator")
    press(operator, "replay", page[:3])
    assert BulkRun.objects.order_by("-pk")[0].items.count() == 3


def test_the_page_shows_the_preview_requires_a_reason_and_shows_what_happened(operator: Any) -> None:
    dead_letters(8)
    url = press(operator, "replay", list(Invoice.objects.filter(state=State.FAILED)[:1]), True, "?state__exact=FAILED")[
        "Location"
    ]
    run = BulkRun.objects.get()
    assert (
        'http-equiv="refresh"' in operator.get(url).text
        and "Dry run: nothing has changed yet" in operator.get(url).text
    )
    work_until(run, S.READY)
    shown = operator.get(url).text
    assert 'value="Replay 4"' in shown and "partly refunded" in shown and 'http-equiv="refresh"' not in shown
    confirm = url.replace("change", "confirm")
    operator.post(confirm, {"reason": " "})
    run.refresh_from_db()
    assert run.state == S.READY
    operator.post(confirm, {"reason": WHY})
    assert "Stop run" in operator.get(url).text
    work_until(run, S.DONE)
    shown = operator.get(url).text
    assert "<caption>Done<" in shown and WHY in shown and "Stop run" not in shown
    log = LogEntry.objects.filter(object_id=str(run.pk)).order_by("id").values_list("change_message", flat=True)
    assert [line.partition(":")[0] for line in log] == ["Selected", "Confirmed"] and WHY in log[1]
    assert WHY in operator.get(reverse("admin:invoices_bulkrun_history", args=[run.pk])).text


@pytest.mark.parametrize(
    ("group", "verbs"),
    [("support", {"look_up"}), ("operator", set(bulk.VERBS)), ("finance", set()), ("security", None)],
)
def test_each_group_has_its_verbs_and_the_others_are_refused(client: Any, group: str, verbs: set[str] | None) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    invoice = cast.waiting()
    run = create_run("replay")
    client.force_login(member_of(group))
    shown = client.get(LIST)
    assert (shown.status_code == 200) == (verbs is not None)
    if verbs is not None:
        assert {name for name in bulk.VERBS if f'value="bulk_{name}"' in shown.text} == verbs
        for name in set(bulk.VERBS) - verbs:
            press(client, name, [invoice])
    assert BulkRun.objects.count() == 1
    for step in ("confirm", "abort"):
        answer = client.post(f"/admin/invoices/bulkrun/{run.pk}/{step}/", {"reason": WHY})
        assert answer.status_code == (302 if group == "operator" else 403)
