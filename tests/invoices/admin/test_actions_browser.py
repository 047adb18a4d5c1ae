"""Every action button in Chromium, as each group, including the buttons that must be absent."""

from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from playwright.sync_api import Page, expect

from invoices.dev.simulator import Simulator
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations import bulk_worker
from tests import cast
from tests.browser import SCREENS, assert_no_overflow, needs_chromium, signed_in
from tests.invoices.admin.action_rows import ALLOWED_GROUPS, GROUPS, dead_letters, every_action, member_of, rows
from tests.invoices.provider_records import seller_at

pytestmark = needs_chromium


def name_of(page: Any, action: Any) -> tuple[str, str]:
    return page.opts.object_name, action.name


def test_every_action_is_covered() -> None:
    assert {name_of(page, action) for page, action in every_action()} == set(ALLOWED_GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_exactly_its_buttons(browser: Any, live_server: Any, provider: Simulator, group: str) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    with signed_in(browser, live_server.url, member_of(group)) as desk:
        for key, row in rows(provider).items():
            press(desk, key, row, group)


def press(desk: Page, key: tuple[str, str], row: Any, group: str) -> None:
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}"
    actions = {action.name: action for admin, action in every_action() if admin.opts.object_name == key[0]}
    action, url = actions[key[1]], reverse(f"{page}_action", args=[key[1]]) + f"?row={row.pk}"
    response = desk.goto(reverse(f"{page}_change", args=[row.pk]))
    if response and response.status == 200:
        shown = [
            text.split("\n")[0].removesuffix(" …") for text in desk.locator("ul.operator-actions li").all_inner_texts()
        ]
        assert sorted(shown) == sorted(
            actions[name].label for name in actions if group in ALLOWED_GROUPS[key[0], name]
        ), key
    if group not in ALLOWED_GROUPS[key]:
        assert desk.request.get(live(desk, url)).status == 403, key
        assert desk.request.post(live(desk, url)).status == 403, key
        return
    desk.locator("ul.operator-actions").get_by_role("link", name=f"{action.label} …", exact=True).click()
    if key[1] == "amend":
        desk.get_by_label("Name", exact=True).fill("Công ty TNHH Hoa Sen Hồng")
    desk.get_by_label("Reason").fill("the buyer called")
    if key[1] == "amend":
        desk.get_by_role("button", name="Preview").click()
    expect(desk.get_by_role("heading", name="What will happen")).to_be_visible()
    assert_no_overflow(desk, *SCREENS)
    desk.get_by_role("button", name=action.label, exact=True).click()
    expect(desk.locator(".messagelist .success")).to_be_visible()


def live(desk: Page, url: str) -> str:
    return desk.url.split("/admin/")[0] + url


def test_a_dead_letter_is_replayed_from_the_home_page_until_it_has_a_number(
    browser: Any, live_server: Any, provider: Simulator
) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    invoice, _ = cast.failed(seller_at(provider), failure="exhausted"), cast.failed(failure="late")
    with signed_in(browser, live_server.url, member_of("operator")) as desk:
        desk.goto(f"{live_server.url}/admin/")
        desk.get_by_role("link", name="exhausted 1").click()
        desk.get_by_role("link", name=invoice.order_id, exact=True).click()
        desk.locator("ul.operator-actions").get_by_role("link", name="Replay …", exact=True).click()
        desk.get_by_label("Reason").fill("the provider is back")
        desk.get_by_role("button", name="Replay", exact=True).click()
        expect(desk.locator(".messagelist .success")).to_be_visible()
        issue_due(invoice.partition)
        desk.reload()
        expect(desk.locator(".badge-issued").first).to_be_visible()
        expect(desk.locator("main")).to_contain_text(Invoice.objects.get(pk=invoice.pk).legal_number)


def test_a_whole_filtered_list_is_replayed(browser: Any, live_server: Any) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    dead_letters(60)  # more than a page
    with signed_in(browser, live_server.url, member_of("operator")) as desk:
        desk.goto("/admin/invoices/invoice/?state__exact=FAILED")
        desk.locator("#action-toggle").check()
        desk.get_by_text("Select all 60 invoices").click()
        desk.locator("select[name=action]").select_option(label="Replay selected invoices …")
        desk.get_by_role("button", name="Go").click()
        expect(desk.get_by_role("heading", name="Dry run: nothing has changed yet")).to_be_visible()
        assert_no_overflow(desk, *SCREENS)
        while bulk_worker.advance_runs():
            pass
        expect(desk.get_by_role("heading", name="What will happen")).to_be_visible()  # the page refreshes automatically
        desk.get_by_label("Reason").fill("the provider is back")
        assert_no_overflow(desk, *SCREENS)
        desk.get_by_role("button", name="Replay 30").click()
        expect(desk.get_by_role("button", name="Stop run")).to_be_visible()
        assert_no_overflow(desk, *SCREENS)
        while bulk_worker.advance_runs():
            pass
        expect(desk.get_by_text("Ended 20")).to_be_visible()
        expect(desk.get_by_role("button", name="Stop run")).to_have_count(0)
        assert_no_overflow(desk, *SCREENS)
    assert Invoice.objects.filter(state=State.QUEUED).count() == 30
