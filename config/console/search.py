"""What a search finds, whichever room it is in. Rooms add their part by name: settings.SEARCH."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    title: str
    merchant: str
    state: str
    at: datetime
    link: str
    how: str  # as what the text was found: "order"
    exact: bool = True
