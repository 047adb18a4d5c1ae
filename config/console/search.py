"""One row that the console's search found. Each app adds its part in its `search.py`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    title: str
    merchant: str
    state: str
    at: datetime
    link: str
    how: str  # which kind of text matched: "order"
    exact: bool = True
