"""Steps of the workers: take, record. Steps of the clock: sweep, expiry, final look-ups, probes."""

from typing import Any

from config.base import clock
from invoices.issuing import final_lookups, parked_accounts
from invoices.issuing.calls import FinishedCall
from invoices.issuing.lookups import build_lookups, take_lookups
from invoices.issuing.record import record
from invoices.issuing.take import take
from invoices.lifecycle import AWAITING_LOOKUP, State
from invoices.opening import claim_window
from invoices.providers.base import Found, Issued, Submitted
from invoices.upkeep import sweep
from tests.simulation.invariants.rows import Row
from tests.simulation.world.interleave import Operation
from tests.simulation.world.network import Worker
from tests.simulation.world.world import World


def draw_worker_operation(world: World, free: list[Worker]) -> Operation | None:
    """A worker takes what is due in a partition, or records the answers that it has."""
    awake = [worker for worker in free if worker.frozen_until <= world.elapsed]
    if not awake:
        return None
    worker = world.dice.one(awake)
    if worker.answers and world.dice.maybe(0.6):
        return record_operation(world, worker)
    if world.dice.maybe(0.06) and (sent := [row for row in world.rows if world.attempts.of[row.id]]):
        return lookup_operation(world, worker, world.dice.one(sent))
    due = sorted(world.wakeups | {row.partition for row in world.rows if is_due(world, row)})
    if not due and world.dice.maybe(0.9):
        return None
    return take_operation(world, worker, world.dice.one(due or [0, 1, 2]))


def is_due(world: World, row: Any) -> bool:
    return row.state in (State.QUEUED, *AWAITING_LOOKUP) and row.not_before <= world.now


def take_operation(world: World, worker: Worker, partition: int, room: int = 200) -> Operation:
    def take_both() -> Any:
        freed, worker.freed = worker.freed, set()
        world.wakeups.discard(partition)
        taken = take_lookups(partition, room)
        return taken + take(partition, room, freed=freed)

    return Operation(f"{worker.name} takes from partition {partition}", take_both, worker=worker, partition=partition)


def lookup_operation(world: World, worker: Worker, row: Row) -> Operation | None:
    """A look-up that an operator or the clock asked for, slow: its answer is recorded when its worker gets to it."""
    if row.state == State.SENDING:
        return None
    attempt = world.attempts.latest(row.id)
    name = f"{worker.name} looks up {row.order_id} ({row.state}) slowly"
    return Operation(name, lambda: build_lookups([attempt.id], clock.now()), worker=worker)


def record_operation(world: World, worker: Worker) -> Operation:
    """Record all answers of the worker as one group, as the pump does."""
    answers, worker.answers = worker.answers, []
    recorded = ", ".join(f"{world.label(a.call)} = {_describe(a.answer)}" for a in answers)

    def write() -> str:
        record_and_note(world, answers)
        worker.freed |= {a.call.account.id for a in answers if a.call.is_send}
        return "recorded"

    if world.dice.maybe(0.03):  # the commit succeeded but the worker does not know it: it records again
        worker.answers = list(answers)

    return Operation(f"{worker.name} records {recorded}", write, worker=worker)


def record_and_note(world: World, finished: list[FinishedCall]) -> None:
    record(finished)
    world.recorded += finished
    # A look-up of what is ISSUED or was rejected changes nothing today, not even if it finds another number.
    ignored = {row.id for row in world.rows if row.number and row.state != State.SUBMITTED}
    for one in finished:
        if isinstance(one.answer, Issued | Submitted | Found) and (
            one.call.is_send or one.call.invoice_id not in ignored
        ):
            world.reported[one.call.invoice_id].add((one.answer.symbol, one.answer.number))


def _describe(answer: Any) -> str:
    number = getattr(answer, "number", "")
    return f"{type(answer).__name__} {number or getattr(answer, 'code', '')}".strip() if answer else "not found"


def draw_upkeep(world: World, free: list[Worker]) -> Operation:
    name, work = world.dice.pick(
        [
            (4, ("the sweep", sweep.sweep)),
            (2, ("expiry", lambda: [claim_window.close_claim_windows(p) for p in range(3)] and "done")),
            (1, ("final look-ups", final_lookups.run_final_lookups)),
            (1, ("probes", parked_accounts.probe_parked)),
        ]
    )
    return Operation(name, work)
