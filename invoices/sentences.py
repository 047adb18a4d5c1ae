"""Audit events as sentences. An event without one of its own is told by its name."""

EVENTS = {
    "opened": "The invoice was opened",
    "queued": "Queued to be sent",
    "buyer_changed": "The buyer's details changed",
    "claimed": "The buyer claimed the invoice",
    "claim_expired": "The claim window closed",
    "fact_noted": "A new fact about the order was noted",
    "refund_noted": "A refund was noted",
    "correction_owed": "A correction is owed: money went back after it was issued",
    "cancelled": "Cancelled",
    "failed": "It failed",
    "payment_conflict": "A second payment says other money: nothing was opened",
    "taken": "A worker took it to be sent",
    "issued": "Issued: the provider gave the number and the tax authority's code",
    "submitted": "Numbered by the provider; the tax authority has not answered yet",
    "found": "Found at the provider: it was issued after all",
    "asked": "Asked the provider for the tax authority's code",
    "not_found": "Asked the provider: not found, and asked again later",
    "ask_failed": "Asked the provider: no answer that proves anything",
    "proven_absent": "Proven absent at the provider, twice: it may be sent again",
    "last_look": "The last look at the provider, a day later: still unknown there",
    "late_answer": "An answer to an earlier attempt came late",
    "uncertain": "No clear answer: the provider may have it",
    "abandoned": "The worker was not heard of again: the provider may have it",
    "not_sent": "Not sent: it was too late to start",
    "retry_scheduled": "It will be tried again",
    "account_refused": "The provider refused the account, not the order: the lane is parked",
    "refused": "The provider refused the order's data",
    "rejected": "The tax authority refused it",
    "dead_letter": "Every retry was used: a dead letter",
    "late": "Unsent when its issue limit had passed",
    "conflict": "Conflict: the provider has something else than we thought",
    "skipped": "Skipped: its lane goes on without it",
    "replayed": "Replayed",
    "amended": "Amended and queued again",
    "adopted": "The provider's invoice was adopted as ours",
    "consumer_fallback": "The refused buyer was not mended in time: issued to the consumer",
}


def sentence(event: str) -> str:
    return EVENTS.get(event) or event.replace("_", " ").capitalize()
