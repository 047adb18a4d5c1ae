"""Counters of invoices: openings, ends, uncertain sends, and the time from payment to number."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from config.monitoring import counters
from invoices.lifecycle import State
from invoices.models import Invoice

COUNTED_ENDS = (State.ISSUED, State.FAILED, State.CANCELLED, State.EXPIRED)
OPENED, PROVIDER_CALL, RETRY, BOOKS_DIFFERED = "opened", "provider_call", "retry", "books_differed"
BUCKET_STEP = math.sqrt(2)  # the ratio of two neighbouring buckets of seconds


def count_moves(moved: Iterable[tuple[Invoice, State]]) -> None:
    """Count the moves to an end or to UNCERTAIN: ISSUED by its bucket of seconds, FAILED by its reason."""
    counts: Counter[tuple[str, str]] = Counter()
    for invoice, source in moved:
        if invoice.state in (*COUNTED_ENDS, State.UNCERTAIN) and invoice.state != source:
            counts[invoice.state, _label(invoice)] += 1
    counters.count(counts)


def count_openings(actor: str, count: int) -> None:
    """Count the openings by source: a webhook route, the API, the sweep."""
    counters.count({(OPENED, actor if actor.startswith("webhook:") else actor.partition(":")[0]): count})


def bucket(seconds: float) -> int:
    """The bucket of a duration: bucket n begins at BUCKET_STEP**n seconds."""
    return math.floor(math.log(max(seconds, 0.01), BUCKET_STEP))


def quantile(counts: Mapping[int, int], share: float) -> float:
    """Seconds within which a share of the counts lies, by bucket; a few per cent off. 0 if there are none."""
    wanted = share * sum(counts.values())
    for at in sorted(counts):
        if counts[at] >= wanted:
            return BUCKET_STEP ** (at + wanted / counts[at])
        wanted -= counts[at]
    return 0.0


def _label(invoice: Invoice) -> str:
    if invoice.state == State.ISSUED and invoice.issued_at:
        return str(bucket((invoice.issued_at - invoice.paid_at).total_seconds()))
    return invoice.failure
