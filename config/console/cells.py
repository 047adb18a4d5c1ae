"""Formats values for the console: money, states, times, tables."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = "–"


def dong(amount: int) -> str:
    """1234567 → "1.234.567 ₫", with a no-break space."""
    return f"{amount:,}".replace(",", ".") + "\u00a0₫"


def badge(word: str) -> SafeString:
    """A state or an outcome, coloured by config/console.css."""
    return format_html('<span class="badge badge-{}">{}</span>', word.lower(), word)


def format_time(at: datetime | None) -> str:
    """To the second, so that the order of events is visible."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else NOTHING


def html_table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> SafeString:
    """An HTML table. Integers are money, aligned right."""
    heads = format_html_join("", "<th>{}</th>", ((text,) for text in head))
    body = format_html_join("", "<tr>{}</tr>", ((_cells(row),) for row in rows))
    return format_html('<table class="facts"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', heads, body)


def html_pairs(values: dict[str, Any]) -> SafeString | str:
    return html_table((), values.items()) if values else NOTHING


def comma_list(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items()) or NOTHING


def _cells(row: Iterable[Any]) -> SafeString:
    return format_html_join(
        "", "<td{}>{}</td>", ((_RIGHT if isinstance(cell, int) else "", _cell(cell)) for cell in row)
    )


def _cell(cell: Any) -> Any:
    return dong(cell) if isinstance(cell, int) else cell


_RIGHT = SafeString(' class="number"')
