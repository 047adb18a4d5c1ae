"""What ends the doubt about a send: only an answer to that very send, or look-ups that prove it absent."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from invoices.issuing.calls import Call, longest_send
from invoices.issuing.decide.steps import FINAL_LOOKUP_AFTER
from invoices.lifecycle import Reason, State
from invoices.providers.base import Refused, Unavailable
from tests.simulation.invariants.rows import Row
from tests.simulation.world.vendor import SETTLE

if TYPE_CHECKING:
    from tests.simulation.world.world import World


@dataclass
class Attempt:
    """One attempt as the network saw it. Times are those of our clock, as the product sees them."""

    id: int
    taken_at: datetime
    last_byte: datetime  # none can leave after it
    answer: Any = None  # to its send, once it has reached the worker
    not_founds: list[tuple[datetime, datetime]] = field(default_factory=list)  # of look-ups: begun, ended

    @property
    def is_closed(self) -> bool:
        """The provider has nothing of it: it said so in answer to it, or it was proven absent."""
        return isinstance(self.answer, Refused | Unavailable) or self.is_proven_absent

    @property
    def is_proven_absent(self) -> bool:
        """Two positive not-founds of it: the first begun a settle time after the last possible byte, the second a
        settle time after the first ended."""
        firsts = [ended for begun, ended in self.not_founds if begun >= self.last_byte + SETTLE]
        return any(begun >= ended + SETTLE for ended in firsts for begun, _ in self.not_founds)

    @property
    def is_past_doubt(self) -> bool:
        """A look-up that began a day after its last possible byte did not find it."""
        return any(begun >= self.last_byte + FINAL_LOOKUP_AFTER for begun, _ in self.not_founds)


class Attempts:
    """All attempts of a seed, by invoice, oldest first."""

    def __init__(self) -> None:
        self.of: dict[int, list[Attempt]] = defaultdict(list)

    def note_take(self, call: Call) -> str:
        """No invoice is sent again while an attempt of it may still reach the provider."""
        earlier = self.of[call.invoice_id]
        open_attempts = [attempt for attempt in earlier if not attempt.is_closed]
        latest = call.started_at + longest_send(call.provider)
        earlier.append(Attempt(call.issuance_id, call.started_at, latest))
        order = call.about["order"]
        return f"{order} was sent again before its earlier attempt was proven absent" if open_attempts else ""

    def note_answer(self, call: Call, answer: Any, ended_at: datetime) -> None:
        attempt = next((a for a in self.of[call.invoice_id] if a.id == call.issuance_id), None)
        if attempt and call.is_send:
            attempt.answer, attempt.last_byte = answer, min(attempt.last_byte, ended_at)
        elif attempt and answer is None:
            attempt.not_founds.append((call.started_at, ended_at))

    def latest(self, invoice_id: int) -> Attempt:
        return self.of[invoice_id][-1]


def proof_violation(world: "World", before: dict[int, Row]) -> str:
    """`before`: the rows by their ids before the step."""
    for row in world.rows:
        was = before.get(row.id, row)
        for check in (_exposure_cleared, _number_ignored, _doubt_moved, _doubt_ended, _final_lookup_forgotten):
            if problem := check(world, was, row):
                return f"{row.order_id} ({row.state} {row.failure}) {problem}"
    return ""


def _exposure_cleared(world: "World", was: Row, row: Row) -> str:
    """An exposed invoice becomes unexposed only when the attempt that exposed it is closed."""
    if was.exposed_at is None or row.exposed_at is not None:
        return ""
    attempt = next((a for a in world.attempts.of[row.id] if a.id == was.exposed_by), None)
    return "" if attempt is None or attempt.is_closed else "is not exposed any more, and nothing proves its send absent"


def _number_ignored(world: "World", was: Row, row: Row) -> str:
    """What a provider reported as issued is never unexposed again, so it is never sent again."""
    reported = world.reported[row.id]
    return f"is not exposed, and it was reported as {sorted(reported)}" if reported and not row.exposed_at else ""


def _doubt_moved(world: "World", was: Row, row: Row) -> str:
    """The key protects for a time from the first uncertain send: a later one does not start that time again."""
    moved = was.first_uncertain_at and row.first_uncertain_at not in (None, was.first_uncertain_at)
    return f"was first uncertain at {was.first_uncertain_at}, and now at {row.first_uncertain_at}" if moved else ""


def _doubt_ended(world: "World", was: Row, row: Row) -> str:
    """What was ever uncertain stays so until a look-up a day after its last send does not find it."""
    ended = was.first_uncertain_at and row.first_uncertain_at is None
    return "is past doubt without a final look-up" if ended and not world.attempts.latest(row.id).is_past_doubt else ""


def _final_lookup_forgotten(world: "World", was: Row, row: Row) -> str:
    """What ended without a number, and was ever uncertain, has its final look-up before it."""
    ended = row.state in (State.FAILED, State.CANCELLED) and not row.number and row.failure != Reason.CONFLICT
    forgotten = ended and row.first_uncertain_at and not row.exposed_at and not row.final_lookup_at
    return "was uncertain, and no final look-up is due" if forgotten else ""
