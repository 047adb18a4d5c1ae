"""The worklists of provider accounts: gauges count them, the console's list is filtered by them.

Each condition has its partial index. Inactive and removed accounts are in none.
"""

from datetime import timedelta

from django.db.models import Q

from config.base import clock

CERTIFICATE_ENDS_WITHIN = timedelta(days=30)
FEW_NUMBERS = 1000  # left under a symbol

WORKLISTS = {  # name and label
    "parked": "refused by their provider",
    "paused": "paused by an operator",
    "certificate": "certificate ends soon",
    "numbers": "few numbers left",
}


def worklist_condition(name: str) -> Q:
    """As of now. Raises KeyError."""
    now = clock.now()
    conditions = {
        "parked": Q(parked_until__gt=now),
        "paused": Q(paused=True),
        "certificate": Q(certificate_ends__lte=clock.day_vn(now + CERTIFICATE_ENDS_WITHIN)),
        "numbers": Q(numbers_left__lt=FEW_NUMBERS),
    }
    return conditions[name] & Q(is_active=True, deleted_at=None)
