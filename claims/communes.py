"""Suggest communes while a buyer types an address, with or without accents."""

import unicodedata

from django.db.models import Q

from merchants.models import AdministrativeUnit

MAX_SUGGESTIONS = 8
MAX_LENGTH = 60  # characters of the text that are used
MIN_LETTERS = 2


def suggest_communes(typed: str) -> list[str]:
    """Communes with every word in their own name or their province's. Names that begin with the text come first."""
    words = fold(typed[:MAX_LENGTH]).split()
    if len("".join(words)) < MIN_LETTERS:
        return []
    communes = AdministrativeUnit.objects.select_related("parent").filter(level=AdministrativeUnit.Level.COMMUNE)
    for word in words:
        communes = communes.filter(Q(search__contains=word) | Q(parent__search__contains=word))
    beginning = Q(search__startswith=" ".join(words))
    first = list(communes.filter(beginning).order_by("name", "code")[:MAX_SUGGESTIONS])
    missing = MAX_SUGGESTIONS - len(first)
    rest = communes.exclude(beginning).order_by("name", "code")[:missing] if missing else []
    return [str(unit) for unit in [*first, *rest]]


def fold(text: str) -> str:
    """Lower case without accents, as AdministrativeUnit.search is."""
    bare = (c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
    return "".join("d" if c == "đ" else c if c.isalnum() else " " for c in bare)
