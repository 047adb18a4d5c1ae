"""Counting how invoices end, and how long from payment to number, while they move."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from config.monitoring import counters
from invoices.lifecycle import State
from invoices.models import Invoice

COUNTED = (State.ISSUED, State.FAILED, State.CANCELLED, State.EXPIRED)
OPENED, CALL, RETRY, DIFFERED = "opened", "provider_call", "retry", "books_differed"
STEP = math.sqrt(2)  # from one bucket of seconds to the next


def count_moves(moved: Iterable[tuple[Invoice, State]]) -> None:
    """Count the moves that end an invoice: ISSUED by its bucket of seconds, FAILED by its reason; and the doubts."""
    counts: Counter[tuple[str, str]] = Counter()
    for invoice, source in moved:
        if invoice.state in (*COUNTED, State.UNCERTAIN) and invoice.state != source:
            counts[invoice.state, _label(invoice)] += 1
    counters.count(counts)


def count_openings(actor: str, count: int) -> None:
    """By who told us: a route of the webhooks, the api, the sweep."""
    counters.count({(OPENED, actor if actor.startswith("webhook:") else actor.partition(":")[0]): count})


def bucket(seconds: float) -> int:
    """The bucket of a duration: STEP**n seconds and more."""
    return math.floor(math.log(max(seconds, 0.01), STEP))


def quantile(counts: Mapping[int, int], share: float) -> float:
    """Seconds within which a share of what was counted by bucket lies, a few per cent off; 0 of nothing."""
    wanted = share * sum(counts.values())
    for at in sorted(counts):
        if counts[at] >= wanted:
            return STEP ** (at + wanted / counts[at])
        wanted -= counts[at]
    return 0.0


def _label(invoice: Invoice) -> str:
    if invoice.state == State.ISSUED and invoice.issued_at:
        return str(bucket((invoice.issued_at - invoice.paid_at).total_seconds()))
    return invoice.failure
