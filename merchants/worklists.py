"""What operators look after among provider accounts, by name: the figures count it and the list narrows to it.

Each condition has its partial index. What is switched off or removed wants nobody.
"""

from datetime import timedelta

from django.db.models import Q

from config.base import clock

ENDING = timedelta(days=30)  # certificates
FEW = 1000  # numbers left under a symbol

WORK = {  # name, what it is called
    "parked": "refused by their provider",
    "held": "held by an operator",
    "certificate": "certificate ends soon",
    "numbers": "few numbers left",
}


def condition(name: str) -> Q:
    """As of now. Raises KeyError."""
    now = clock.now()
    told = {
        "parked": Q(parked_until__gt=now),
        "held": Q(paused=True),
        "certificate": Q(certificate_ends__lte=clock.day_vn(now + ENDING)),
        "numbers": Q(numbers_left__lt=FEW),
    }
    return told[name] & Q(is_active=True, deleted_at=None)
