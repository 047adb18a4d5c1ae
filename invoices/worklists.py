"""What operators look after, by name: the figures count it and the console's list narrows to it, by the same words.

Each condition has its partial index, no larger than the work that is open.
"""

from datetime import timedelta

from django.db.models import Q

from config.base import clock
from config.monitoring import counters
from invoices.lifecycle import State

SOON = timedelta(minutes=15)  # a claim window that closes
LIMIT = timedelta(hours=1)  # before the issue limit
HELD_UP = timedelta(minutes=5)  # past its turn
RECENT = timedelta(minutes=15)  # as tallies count it: from the beginning of its slot on

OPEN = (State.WAITING, State.QUEUED, State.SENDING, State.UNCERTAIN, State.SUBMITTED)

WORK = {  # name, what it is called
    "claimable": "claims open",
    "closing": "claims closing soon",
    "limit": "held up, near the issue limit",
    "doubted": "uncertain",
    "failed": "dead letters",
    "correction": "corrections owed",
    "files": "files missing",
    "open": "not ended",
    "failed-recently": "failed a moment ago",
    "issued-today": "issued today",
    "failed-today": "failed today",
    "cancelled-today": "cancelled today",
    "expired-today": "expired today",
}


def condition(name: str) -> Q:
    """As of now. Raises KeyError.

    What was failed or ended today is told by its last change: that of an older one may be another, such as a refund.
    """
    now, today = clock.now(), clock.at_vn(clock.today_vn())
    return {
        "claimable": Q(state=State.WAITING),
        "closing": Q(state=State.WAITING, claim_deadline__lte=now + SOON),
        # Held up, or failed once: in the last hour of a day everything unsent is near its limit.
        "limit": Q(state=State.QUEUED, issue_until__lte=now + LIMIT)
        & (Q(not_before__lte=now - HELD_UP) | Q(attempts__gt=0)),
        "doubted": Q(state=State.UNCERTAIN),
        "failed": Q(state=State.FAILED),
        "correction": Q(correction_owed=True),
        "files": Q(files_due__isnull=False),
        "open": Q(state__in=OPEN),
        "failed-recently": Q(state=State.FAILED, updated_at__gte=counters.slot(now - RECENT)),
        "issued-today": Q(issued_at__gte=today),
        "failed-today": Q(state=State.FAILED, updated_at__gte=today),
        "cancelled-today": Q(state=State.CANCELLED, updated_at__gte=today),
        "expired-today": Q(state=State.EXPIRED, updated_at__gte=today),
    }[name]
