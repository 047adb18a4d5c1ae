"""Numbers in Vietnamese notation, in both languages: the invoice itself is Vietnamese."""

from django import template

register = template.Library()


@register.filter
def dong(amount: int) -> str:
    """1234567 → 1.234.567 ₫, with a no-break space."""
    return f"{amount:,}".replace(",", ".") + "\u00a0₫"


@register.filter
def quantity(text: str) -> str:
    """1.5 → 1,5"""
    return text.replace(".", ",")


@register.filter
def monogram(name: str) -> str:
    """Cà phê Sương Mai → CM: for a merchant without a logo."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0].upper() for word in (words[:1] + words[1:][-1:]))
