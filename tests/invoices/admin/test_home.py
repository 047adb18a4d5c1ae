"""The console's home page: all clear, or the rows that need attention."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.base import clock
from config.models import CounterSlot
from config.monitoring import counters
from invoices.admin import charts
from invoices.counters import bucket
from invoices.models import Invoice
from merchants.models import ProviderAccount
from tests import cast
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client: Client) -> Client:
    CounterSlot.objects.all().delete()  # of requests in other tests
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def home(client: Client) -> Any:
    response = client.get("/admin/")
    assert response.status_code == 200
    return response


def page_text(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_without_problems_the_page_is_all_clear(desk: Client) -> None:
    cast.issued()
    cast.waiting()
    response = home(desk)
    assert response.context["alerting"] == []
    assert "All clear" in page_text(response) and 'class="summary clear"' in response.content.decode()


def test_problems_are_listed_first(desk: Client) -> None:
    cast.failed(failure="conflict")
    late = cast.queued(orderId="order-2")  # partition 1
    Invoice.objects.filter(pk=late.pk).update(not_before=clock.now() - timedelta(minutes=7))
    account = cast.seller().accounts.get()
    ProviderAccount.objects.filter(pk=account.pk).update(parked_until=clock.now() + timedelta(minutes=5))
    response = home(desk)
    assert [tile.title for tile in response.context["alerting"] if tile.level == "alarm"] == [
        "Dead letters",
        "Parked accounts",
        "Partition 1 QUEUED, 7 min late",
    ]
    assert "state__exact=FAILED&amp;failure__exact=conflict" in response.content.decode()


def test_every_link_of_the_page_opens(desk: Client) -> None:
    cast.failed(), cast.issued(), cast.waiting(), cast.queued()
    links = set(re.findall(r'href="(/admin/[^"]*)"', home(desk).content.decode()))
    assert len(links) > 40
    for link in links:
        assert desk.get(link.replace("&amp;", "&"), follow=True).status_code == 200, link


def test_a_tile_of_several_types_links_to_all_that_it_counts(desk: Client) -> None:
    for at, kind in enumerate(("payment.succeeded", "order.refunded", "new.thing")):
        event = {"route": "internal", "webhook_id": f"m-{at}", "type": kind, "answer_status": 202, "answer": {}}
        WebhookEvent.objects.create(**event, status="failed")
    WebhookEvent.objects.create(**event | {"webhook_id": "m"}, status="refused")
    response = home(desk)
    tile = next(t for t in response.context["groups"]["Buyers and merchants"] if t.title == "Events that failed")
    assert (tile.text, len(tile.parts)) == ("3", 3)
    for count, link in ((3, tile.link), *((1, link) for _, _, link in tile.parts)):
        assert desk.get(link).context["cl"].result_count == count, link
    issued = response.context["issued_today_link"]
    assert f'<a href="{issued}">median' in response.content.decode()


def test_the_day_is_charted_by_half_hours(desk: Client) -> None:
    for hour, minute in ((9, 2), (9, 29), (9, 30)):
        with clock.frozen(datetime(2026, 11, 23, hour, minute, tzinfo=clock.VIETNAM)):
            counters.count({("ISSUED", str(bucket(90))): 40, ("FAILED", "late"): 2})
    with clock.frozen(datetime(2026, 11, 23, 12, tzinfo=clock.VIETNAM)):
        response = home(desk)
    assert [bar.label for bar in response.context["day"].bars] == [
        "09:00–09:30: 80 issued, 4 failed",
        "09:30–10:00: 40 issued, 2 failed",
    ]
    first = response.context["day"].bars[0].blocks
    assert first[0].kind == "issued" and first[0].x == pytest.approx(9 / 24 * charts.WIDTH, abs=2)
    assert first[0].y + first[0].height == charts.HEIGHT and first[1].y < first[0].y, "failures are on top"
    assert response.context["p50"] == "76 s", "in the middle of the bucket from 64 to 91"


def test_the_page_works_without_invoices(desk: Client) -> None:
    assert "Today by outcome" in page_text(home(desk))


def test_numbers_link_only_to_lists_that_the_reader_may_open(client: Client) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    user = User.objects.create_user("ann", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="finance"))
    client.force_login(user)
    page = home(client).content.decode()
    assert "/admin/invoices/invoice/?" in page and "/admin/merchants/" not in page
    assert "Parked accounts" in page


def test_the_navigation_is_grouped(desk: Client) -> None:
    page = page_text(home(desk))
    order = [
        page.index(f" {name} ") for name in ("Sales", "Merchants", "Webhook events", "Administration", "Partitions")
    ]
    assert order == sorted(order) and "Webhook deliveries" in page and " More " not in page


def test_the_console_is_english_whatever_the_browser_prefers(desk: Client) -> None:
    response = desk.get("/admin/", headers={"accept-language": "vi"})
    assert "Users" in page_text(response)
    assert 'lang="en' in response.content.decode()


def test_the_page_needs_as_many_queries_for_one_invoice_as_for_many(desk: Client) -> None:
    def count_queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            home(desk)
        return len(seen)

    home(desk)
    few = count_queries()
    for _ in range(4):
        cast.failed(), cast.issued(cast.seller()), cast.queued(), cast.waiting()
    assert count_queries() == few <= 31


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4 s"), (59, "59 s"), (300, "5 min"), (5400, "90 min"), (7200, "2.0 h"), (864000, "10 days")],
)
def test_durations_are_formatted_in_suitable_units(seconds: float, text: str) -> None:
    assert charts.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1250, "1,250"), (4000, "4k"), (63211, "63.2k"), (2_000_000, "2M")]
)
def test_large_numbers_are_abbreviated(number: int, text: str) -> None:
    assert charts.abbreviate(number) == text


def test_an_axis_ends_at_a_round_number() -> None:
    assert [charts.round_up(n) for n in (0, 3, 11, 47, 99, 6200)] == [2, 4, 20, 60, 100, 8000]
