"""Communes by what a buyer types of their name, with or without accents."""

import unicodedata

from django.db.models import Q

from merchants.models import AdministrativeUnit

SHOWN = 8
LONGEST = 60  # characters that are looked at
FEWEST = 2


def suggest(typed: str) -> list[str]:
    """Communes in which every word occurs, in their own name or their province's; whole beginnings first."""
    words = fold(typed[:LONGEST]).split()
    if len("".join(words)) < FEWEST:
        return []
    found = AdministrativeUnit.objects.select_related("parent").filter(level=AdministrativeUnit.Level.COMMUNE)
    for word in words:
        found = found.filter(Q(search__contains=word) | Q(parent__search__contains=word))
    beginning = Q(search__startswith=" ".join(words))
    first = list(found.filter(beginning).order_by("name", "code")[:SHOWN])
    rest = found.exclude(beginning).order_by("name", "code")[: SHOWN - len(first)] if len(first) < SHOWN else []
    return [str(unit) for unit in [*first, *rest]]


def fold(text: str) -> str:
    """Lower case without accents, as AdministrativeUnit.search is."""
    bare = (c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
    return "".join("d" if c == "đ" else c if c.isalnum() else " " for c in bare)
