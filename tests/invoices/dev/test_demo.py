"""The whole demo: real processes and sockets, and a comparison of both sides' records."""

import json
import subprocess
import sys


def test_a_day_of_orders_is_accounted_for_exactly_once_on_both_sides() -> None:
    command = [sys.executable, "manage.py", "demo", "--once", "--orders", "45", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    books = json.loads(result.stdout)
    assert (books["orders"], books["duplicates"], books["lost"], books["failed"]) == (45, 0, 0, 0)
    assert books["issued"] == books["ledger"] > 0
    assert books["paidTotal"] == books["invoicedTotal"] > 0
    kinds = ("issued", "waiting", "failed", "expired", "cancelled")
    assert sum(books[kind] for kind in kinds) == 45
