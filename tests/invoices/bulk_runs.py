"""Bulk runs for tests: create, preview, start, and work until a state is reached."""

from typing import Any

from django.contrib.auth.models import User

from invoices.models import BulkRun, Invoice
from invoices.operations import bulk, bulk_worker

WHY = "the provider is back"
S = BulkRun.State


def create_run(verb: str = "replay", **of: Any) -> BulkRun:
    user, _ = User.objects.get_or_create(username="thu")
    return bulk.create_run(verb, Invoice.objects.filter(**of), user_id=user.pk, selection="state=FAILED")


def preview_run(verb: str = "replay", **of: Any) -> BulkRun:
    run = create_run(verb, **of)
    work_until(run, S.READY)
    return run


def start_run(verb: str = "replay", **of: Any) -> BulkRun:
    run = preview_run(verb, **of)
    assert bulk.confirm(run, user_id=run.user_id, reason=WHY)
    return run


def work_until(run: BulkRun, state: str) -> None:
    for _ in range(1000):
        bulk_worker.advance_runs()
        run.refresh_from_db()
        if run.state == state:
            return
    raise AssertionError(f"it is {run.state}")
