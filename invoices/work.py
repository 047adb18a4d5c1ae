"""What operators look after, by name: the figures count it and the console's list narrows to it, by the same words.

Each condition has its partial index, no larger than the work that is open.
"""

from datetime import timedelta

from django.db.models import Q

from config import clock
from invoices.lifecycle import State

SOON = timedelta(minutes=15)  # a claim window that closes
LIMIT = timedelta(hours=1)  # before the issue limit
HELD_UP = timedelta(minutes=5)  # past its turn

WORK = {  # name, what it is called
    "claimable": "claims open",
    "closing": "claims closing soon",
    "limit": "held up, near the issue limit",
    "doubted": "uncertain",
    "failed": "dead letters",
    "correction": "corrections owed",
    "files": "files missing",
}


def condition(name: str) -> Q:
    """As of now. Raises KeyError."""
    now = clock.now()
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
    }[name]
