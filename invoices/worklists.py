"""Worklists: rows that need a person. The gauges count them and the console's list filters by them.

Each condition has its partial index, whose size depends on the open work only.
"""

from datetime import timedelta

from django.db.models import Q

from config.base import clock
from config.monitoring import counters
from invoices.lifecycle import State

CLOSING_SOON = timedelta(minutes=15)  # before a claim window closes
NEAR_LIMIT = timedelta(hours=1)  # before the issue limit
OVERDUE = timedelta(minutes=5)  # after the due time
RECENT_FAILURES = timedelta(minutes=15)  # rounded to the beginning of a counter slot

OPEN_STATES = (State.WAITING, State.QUEUED, State.SENDING, State.UNCERTAIN, State.SUBMITTED)

WORKLISTS = {  # name and title
    "claimable": "claimable",
    "closing": "claims closing soon",
    "limit": "overdue, near the issue limit",
    "uncertain": "uncertain",
    "failed": "dead letters",
    "correction": "corrections owed",
    "files": "files missing",
    "open": "open",
    "failed-recently": "failed recently",
    "issued-today": "issued today",
    "failed-today": "failed today",
    "cancelled-today": "cancelled today",
    "expired-today": "expired today",
}


def worklist_condition(name: str) -> Q:
    """The condition of a worklist as of now. Raises KeyError.

    "Failed today" and the like go by the last change of the row, which may also be a later one, such as a refund.
    """
    now, today = clock.now(), clock.at_vn(clock.today_vn())
    return {
        "claimable": Q(state=State.WAITING),
        "closing": Q(state=State.WAITING, claim_deadline__lte=now + CLOSING_SOON),
        # Overdue or attempted before: in the last hour of a day every unsent invoice is near its limit.
        "limit": Q(state=State.QUEUED, issue_until__lte=now + NEAR_LIMIT)
        & (Q(not_before__lte=now - OVERDUE) | Q(attempts__gt=0)),
        "uncertain": Q(state=State.UNCERTAIN),
        "failed": Q(state=State.FAILED),
        "correction": Q(correction_owed=True),
        "files": Q(files_due__isnull=False),
        "open": Q(state__in=OPEN_STATES),
        "failed-recently": Q(state=State.FAILED, updated_at__gte=counters.slot_start(now - RECENT_FAILURES)),
        "issued-today": Q(issued_at__gte=today),
        "failed-today": Q(state=State.FAILED, updated_at__gte=today),
        "cancelled-today": Q(state=State.CANCELLED, updated_at__gte=today),
        "expired-today": Q(state=State.EXPIRED, updated_at__gte=today),
    }[name]
