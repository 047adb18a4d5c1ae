import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django import template

from config.console.cells import badge, format_time

register = template.Library()
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
register.filter("badge", badge)


@register.filter
def to_the_second(at: datetime | None) -> str:
    return format_time(at)


@register.filter
def local_times(text: str) -> str:
    """The text with its ISO times in Việt Nam time."""
    return INSTANT.sub(lambda match: format_time(datetime.fromisoformat(match[0])), text)


@register.filter
def grouped(amount: int | str) -> str:
    """Vietnamese notation: 1234567.5 → 1.234.567,5."""
    try:
        text = f"{Decimal(str(amount)):,f}"
    except InvalidOperation:
        return str(amount)
    return text.translate(str.maketrans(",.", ".,"))
