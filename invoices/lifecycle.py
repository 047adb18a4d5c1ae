"""The life of an invoice: its states, the moves between them, and the reasons of a failure.

WAITING ──claimed, window closed, or no window──▶ QUEUED ◀──────────┬──────────────┐
  │  └─ policy "lapse" at deadline ─▶ EXPIRED        │ taken        │              │ replayed or amended,
  └─ refunded, nothing owed ─▶ CANCELLED ◀─refunded──┤              │              │ never exposed
                                                     ▼              │              │
                                                  SENDING ─Unavailable             │
                         ┌───── issued ─────────────┤ │ └─Uncertain, │              │
                         ▼                          │ │   abandoned  │proven absent │
                      ISSUED ◀─code arrived─ SUBMITTED│      └──▶ UNCERTAIN ◀─replayed (exposed)
                      │    ▲                     │    │              │   │          │
     correction issued│    └──── found ──────────┼────┼──────────────┘   │ conflict │
                      ▼                          ▼    ▼                  ▼          │
             REPLACED / ADJUSTED              FAILED(reason) ───────────────────────┘
"""

from enum import StrEnum


class State(StrEnum):
    WAITING = "WAITING"  # the buyer may claim it
    QUEUED = "QUEUED"  # due to be sent
    SENDING = "SENDING"  # a provider may be reading it
    UNCERTAIN = "UNCERTAIN"  # a provider may have it: it is looked up
    SUBMITTED = "SUBMITTED"  # numbered; the tax authority has not answered
    ISSUED = "ISSUED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    ADJUSTED = "ADJUSTED"


S = State

MOVES: dict[State, frozenset[State]] = {
    S.WAITING: frozenset({S.QUEUED, S.EXPIRED, S.CANCELLED, S.FAILED}),
    S.QUEUED: frozenset({S.SENDING, S.UNCERTAIN, S.CANCELLED, S.FAILED}),
    S.SENDING: frozenset({S.ISSUED, S.SUBMITTED, S.QUEUED, S.UNCERTAIN, S.CANCELLED, S.FAILED}),
    S.UNCERTAIN: frozenset({S.ISSUED, S.SUBMITTED, S.QUEUED, S.CANCELLED, S.FAILED}),
    S.SUBMITTED: frozenset({S.ISSUED, S.FAILED}),
    S.ISSUED: frozenset({S.REPLACED, S.ADJUSTED, S.FAILED}),  # FAILED: a second number was found
    S.FAILED: frozenset({S.QUEUED, S.UNCERTAIN, S.CANCELLED, S.ISSUED}),  # ISSUED: an operator adopts
    S.CANCELLED: frozenset({S.FAILED}),  # found at the provider after all
    S.EXPIRED: frozenset(),
    S.REPLACED: frozenset(),
    S.ADJUSTED: frozenset(),
}

UNEXPOSED = (S.WAITING, S.QUEUED, S.EXPIRED, S.CANCELLED)  # no provider can know it
NUMBERED = (S.SUBMITTED, S.ISSUED, S.REPLACED, S.ADJUSTED)
OWED = (S.WAITING, S.QUEUED, S.SENDING, S.UNCERTAIN)  # these hold the account at their day
AWAITING_LOOKUP = (S.UNCERTAIN, S.SUBMITTED)  # when due, it is looked up
CLAIMABLE = (S.WAITING, S.QUEUED)
ENDED = (S.ISSUED, S.FAILED, S.CANCELLED, S.EXPIRED, S.REPLACED, S.ADJUSTED)


class Reason(StrEnum):
    """Why an invoice is FAILED."""

    REFUSED = "refused"  # the provider refused the order's data
    EXHAUSTED = "exhausted"  # every retry was used
    ACCOUNT = "account"
    REJECTED = "rejected"  # the tax authority rejected it
    LATE = "late"  # not sent before its day was over
    CONFLICT = "conflict"  # the provider's invoice differs from ours, or there are two
    STALE_KEY = "stale_key"  # absent, but the reference no longer protects against a second invoice
    SKIPPED = "skipped"  # an operator let the account continue without it
    AMENDED = "amended"  # partly refunded before it was issued
    BUG = "bug"


class WrongState(Exception):
    """The invoice's state does not allow this. The message names the state, and when it may change."""


def may(source: State, target: State) -> bool:
    """Staying is always allowed: a step may record something without a move."""
    return source == target or target in MOVES[source]
