"""The console needs as many queries for 3,000 invoices as for 300, and scans no large table.

`make bench-console` checks the same pages with a million invoices, and their response times.
"""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from config.console.lists import CappedPaginator
from tests.console.pages import full_scans, page_visits, queries_of, seed_other_rows

pytestmark = pytest.mark.usefixtures("transactional_db")
MAX_QUERIES = {"home": 33, "invoice": 40, "search": 30}  # a list: 12


def test_pages_cost_the_same_at_any_size_and_scan_no_large_table(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CappedPaginator, "LIMIT", 100)  # relates to 3,000 rows as 10,000 to a million
    client.force_login(User.objects.create_superuser("root", password="x"))
    call_command("seed", invoices=300, merchants=20, days=3, verbosity=0)
    seed_other_rows()
    counts = {}
    for visit in page_visits():
        queries_of(client, visit)  # fills the cache of content types
        counts[visit.page] = len(queries_of(client, visit))
    call_command("seed", invoices=2700, merchants=20, days=3, verbosity=0)
    seed_other_rows()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET random_page_cost = 1.1")  # 3,000 rows are in memory
    for visit in page_visits():
        queries_of(client, visit)  # fills the cache of the legal rules
        statements = queries_of(client, visit)
        assert len(statements) == counts[visit.page] <= MAX_QUERIES.get(visit.page.split(",")[0].split(":")[0], 12), (
            visit
        )
        assert full_scans(statements) == [], visit
