import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django import template

from config.console.cells import badge, moment

register = template.Library()
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
register.filter("badge", badge)


@register.filter
def to_the_second(at: datetime | None) -> str:
    return moment(at)


@register.filter
def local_times(text: str) -> str:
    """A reason as it was written down, its instants as people here read them."""
    return INSTANT.sub(lambda found: moment(datetime.fromisoformat(found[0])), text)


@register.filter
def grouped(amount: int | str) -> str:
    """As Vietnamese papers write numbers: 1234567.5 → 1.234.567,5."""
    try:
        text = f"{Decimal(str(amount)):,f}"
    except InvalidOperation:
        return str(amount)
    return text.translate(str.maketrans(",.", ".,"))
