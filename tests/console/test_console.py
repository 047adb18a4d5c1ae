"""The console asks the database as often for 300 invoices as for 3,000, and reads no large table from end to end.

`make bench-console` holds the same pages to it at a million, and to their time.
"""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from config.console.lists import CappedPaginator
from tests.console.pages import full_scans, queries_of, seed_other_rows, page_visits

pytestmark = pytest.mark.usefixtures("transactional_db")
MOST = {"home": 33, "invoice": 40, "search": 30}  # queries; a list asks 12 times at most


def test_pages_cost_the_same_at_any_size_and_read_no_table_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CappedPaginator, "LIMIT", 100)  # as far below three thousand as 10,000 below a million
    client.force_login(User.objects.create_superuser("root", password="x"))
    call_command("seed", invoices=300, merchants=20, days=3, verbosity=0)
    seed_other_rows()
    few = {}
    for visit in page_visits():
        queries_of(client, visit)  # content types are remembered from now on
        few[visit.page] = len(queries_of(client, visit))
    call_command("seed", invoices=2700, merchants=20, days=3, verbosity=0)
    seed_other_rows()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET random_page_cost = 1.1")  # what a million rows cost is in memory for three thousand
    for visit in page_visits():
        queries_of(client, visit)  # the law is read again each minute
        statements = queries_of(client, visit)
        assert len(statements) == few[visit.page] <= MOST.get(visit.page.split(",")[0].split(":")[0], 12), visit
        assert full_scans(statements) == [], visit
