"""The console's home page: calm where all is well, and one look tells where it is not."""

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
from config.models import Tally
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
    Tally.objects.all().delete()  # what requests of other tests have left
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def home(client: Client) -> Any:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_healthy_desk_is_calm(desk: Client) -> None:
    cast.issued()
    cast.waiting()
    answer = home(desk)
    assert answer.context["odd"] == []
    assert "All calm" in text(answer) and 'class="verdict calm"' in answer.content.decode()


def test_a_sick_one_says_at_once_where(desk: Client) -> None:
    cast.failed(failure="conflict")
    late = cast.queued(orderId="order-2")  # partition 1
    Invoice.objects.filter(pk=late.pk).update(not_before=clock.now() - timedelta(minutes=7))
    account = cast.seller().accounts.get()
    ProviderAccount.objects.filter(pk=account.pk).update(parked_until=clock.now() + timedelta(minutes=5))
    answer = home(desk)
    assert [one.title for one in answer.context["odd"] if one.tone == "alarm"] == [
        "Dead letters",
        "Parked accounts",
        "Partition 1 QUEUED, 7 min late",
    ]
    assert "state__exact=FAILED&amp;failure__exact=conflict" in answer.content.decode()


def test_every_link_of_the_page_opens(desk: Client) -> None:
    cast.failed(), cast.issued(), cast.waiting(), cast.queued()
    links = set(re.findall(r'href="(/admin/[^"]*)"', home(desk).content.decode()))
    assert len(links) > 40
    for link in links:
        assert desk.get(link.replace("&amp;", "&"), follow=True).status_code == 200, link


def test_a_tile_of_several_types_leads_to_all_that_it_counts(desk: Client) -> None:
    for at, kind in enumerate(("payment.succeeded", "order.refunded", "new.thing")):
        event = {"route": "internal", "webhook_id": f"m-{at}", "type": kind, "answer_status": 202, "answer": {}}
        WebhookEvent.objects.create(**event, status="failed")
    WebhookEvent.objects.create(**event | {"webhook_id": "m"}, status="refused")
    told = home(desk)
    tile = next(one for one in told.context["groups"]["Buyers and merchants"] if one.title == "Events that failed")
    assert (tile.text, len(tile.parts)) == ("3", 3)
    for count, link in ((3, tile.link), *((1, link) for _, _, link in tile.parts)):
        assert desk.get(link).context["cl"].result_count == count, link
    issued = told.context["measured"]
    assert f'<a href="{issued}">median' in told.content.decode()


def test_the_day_is_drawn_half_hour_by_half_hour(desk: Client) -> None:
    for hour, minute in ((9, 2), (9, 29), (9, 30)):
        with clock.frozen(datetime(2026, 11, 23, hour, minute, tzinfo=clock.VIETNAM)):
            counters.add({("ISSUED", str(bucket(90))): 40, ("FAILED", "late"): 2})
    with clock.frozen(datetime(2026, 11, 23, 12, tzinfo=clock.VIETNAM)):
        answer = home(desk)
    assert [bar.told for bar in answer.context["day"].bars] == [
        "09:00–09:30: 80 issued, 4 failed",
        "09:30–10:00: 40 issued, 2 failed",
    ]
    first = answer.context["day"].bars[0].blocks
    assert first[0].kind == "issued" and first[0].x == pytest.approx(9 / 24 * charts.WIDTH, abs=2)
    assert first[0].y + first[0].height == charts.HEIGHT and first[1].y < first[0].y, "failures stand on top"
    assert answer.context["p50"] == "76 s", "in the middle of the bucket from 64 to 91"


def test_without_a_single_invoice_the_page_is_drawn_all_the_same(desk: Client) -> None:
    assert "Today by outcome" in text(home(desk))


def test_numbers_lead_only_where_the_reader_may_go(client: Client) -> None:
    call_command("loaddata", "permissions", verbosity=0)
    user = User.objects.create_user("ann", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="finance"))
    client.force_login(user)
    told = home(client).content.decode()
    assert "/admin/invoices/invoice/?" in told and "/admin/merchants/" not in told
    assert "Parked accounts" in told


def test_the_navigation_is_grouped_by_what_operators_do(desk: Client) -> None:
    told = text(home(desk))
    order = [told.index(f" {name} ") for name in ("Sales", "Merchants", "Webhook events", "Running it", "Partitions")]
    assert order == sorted(order) and "Webhook deliveries" in told and " More " not in told


def test_the_console_is_english_whatever_the_browser_prefers(desk: Client) -> None:
    answer = desk.get("/admin/", headers={"accept-language": "vi"})
    assert "Users" in text(answer)
    assert 'lang="en' in answer.content.decode()


def test_the_page_costs_as_many_queries_for_one_invoice_as_for_many(desk: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            home(desk)
        return len(seen)

    home(desk)
    few = asked()
    for _ in range(4):
        cast.failed(), cast.issued(cast.seller()), cast.queued(), cast.waiting()
    assert asked() == few <= 31


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0.4 s"), (59, "59 s"), (300, "5 min"), (5400, "90 min"), (7200, "2.0 h"), (864000, "10 days")],
)
def test_durations_are_told_as_people_say_them(seconds: float, said: str) -> None:
    assert charts.span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (999, "999"), (1250, "1,250"), (4000, "4k"), (63211, "63.2k"), (2_000_000, "2M")]
)
def test_large_numbers_are_told_shortly(number: int, said: str) -> None:
    assert charts.short(number) == said


def test_an_axis_ends_on_a_round_number() -> None:
    assert [charts.nice(n) for n in (0, 3, 11, 47, 99, 6200)] == [2, 4, 20, 60, 100, 8000]
