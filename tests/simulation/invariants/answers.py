"""No answer is thrown away, and no answer changes what it may not change."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from invoices.issuing.calls import FinishedCall
from invoices.lifecycle import Reason, State
from invoices.models import InvoiceIssuance

if TYPE_CHECKING:
    from tests.simulation.world.world import World

AuditTrail = list[dict[str, Any]]  # the audit rows of one invoice


def answer_violation(world: "World", trails: dict[int, AuditTrail]) -> str:
    """At the end of a seed. `trails`: by invoice."""
    if problem := _answer_not_stored(world.recorded):
        return problem
    for row in world.rows:
        trail = trails[row.id]
        if problem := _ended_was_reopened(trail) or _second_number_hidden(world.reported[row.id], trail):
            return f"{row.order_id} ({row.state} {row.failure}) {problem}"
    return ""


def _answer_not_stored(recorded: list[FinishedCall]) -> str:
    """Every answer that arrived is stored on its own attempt."""
    attempts = InvoiceIssuance.objects.in_bulk({one.call.issuance_id for one in recorded})
    lookups: dict[int, int] = defaultdict(int)
    for one in recorded:
        attempt = attempts[one.call.issuance_id]
        lookups[attempt.pk] += not one.call.is_send
        number = getattr(one.answer, "number", "")
        if one.call.is_send and (attempt.outcome, attempt.number) != (one.outcome, number):
            return f"{one.outcome} {number} was answered to {attempt.reference}, and its attempt says {attempt}"
        if lookups[attempt.pk] > attempt.lookups:
            return f"{attempt.lookups} look-ups are stored of {attempt.reference}, and more were answered"
    return ""


def _second_number_hidden(reported: set[tuple[str, str]], trail: AuditTrail) -> str:
    """Two different numbers for one document are a conflict, until an operator decides."""
    if len(reported) < 2:
        return ""
    last = max((at for at, step in enumerate(trail) if step["eventType"] == "conflict"), default=None)
    if last is None:
        return f"was reported as {sorted(reported)}, yet is no conflict"
    after = next((step for step in trail[last + 1 :] if step["after"].get("state", State.FAILED) != State.FAILED), None)
    return "left its conflict without an operator" if after and not after["actor"].startswith("user:") else ""


def _ended_was_reopened(trail: AuditTrail) -> str:
    """An answer never reopens what has failed or was cancelled, nor fails what is issued: it can only be a conflict."""
    for step in trail:
        left, reached = step["before"].get("state"), step["after"].get("state")
        if step["actor"] != "worker" or not reached:
            continue
        if left in (State.FAILED, State.CANCELLED) and reached != State.FAILED:
            return f"was {left}, and an answer made it {reached}"
        allowed = (Reason.CONFLICT, Reason.REJECTED)
        failed = left in (State.ISSUED, State.SUBMITTED) and reached == State.FAILED
        if failed and step["after"]["failure"] not in allowed:
            return f"was {left}, and an answer made it {reached}"
    return ""
