"""Run a seed to completion: no more faults, all workers run, and time passes until nothing is left to do."""

from invoices.issuing import final_lookups, parked_accounts
from invoices.lifecycle import ENDED, State
from invoices.models import Partition
from invoices.opening import claim_window
from invoices.upkeep import sweep
from merchants.models import Merchant, ProviderAccount
from tests.simulation.invariants import at_the_end
from tests.simulation.invariants.rows import read_rows
from tests.simulation.steps.facts import register_merchant
from tests.simulation.steps.workers import record_operation, take_operation
from tests.simulation.world.interleave import Operation
from tests.simulation.world.world import InvariantBroken, World

ROUNDS = 60


def run_to_completion(world: World) -> None:
    world.note("--- no more faults")
    world.calm = world.vendor.calm = True
    for worker in world.workers:
        worker.frozen_until = 0.0
    for code in world.merchant_codes:
        if code not in world.merchants:
            register_merchant(world, code)
    while world.unanswered:
        world.execute(world.unanswered.pop())
    Partition.objects.filter(paused=True).update(paused=False)
    accounts = ProviderAccount.objects.filter(merchant__in=world.merchants.values())
    accounts.update(paused=False, is_active=True, deleted_at=None)
    Merchant.objects.filter(paused=True).update(paused=False)
    world.rows = read_rows(world)
    for _ in range(ROUNDS):
        run_all_work(world)
        if not (wait := seconds_until_due(world, accounts)):
            break
        world.advance(wait)
        world.note(f"time passed: {wait:.0f} s")
    else:
        raise InvariantBroken(world.seed, world.personality, "it does not complete", world.journal)
    if broken := at_the_end.final_violation(world):
        raise InvariantBroken(world.seed, world.personality, f"at the end: {broken}", world.journal)


def run_all_work(world: World) -> None:
    world.execute(Operation("the sweep", sweep.sweep))
    rows = world.rows
    if any(row.state == State.WAITING for row in rows):
        world.execute(Operation("expiry", lambda: [claim_window.close_claim_windows(p) for p in range(3)] and "done"))
    if any(row.final_lookup_at and row.final_lookup_at <= world.now for row in rows):
        world.execute(Operation("final look-ups", final_lookups.run_final_lookups))
    if ProviderAccount.objects.filter(merchant__in=world.merchants.values(), parked_for_login=True).exists():
        world.execute(Operation("probes", parked_accounts.probe_parked))
    world.advance(0)
    worker, busy = world.workers[0], True
    while busy:
        busy = False
        for other in world.workers:
            if other.answers:
                world.execute(record_operation(world, other))
                busy = True
        for partition in sorted(world.wakeups):
            taking = take_operation(world, worker, partition)
            world.execute(taking)
            busy = busy or bool(taking.result)
        world.advance(0)


def seconds_until_due(world: World, accounts) -> float:
    """Seconds until the next thing is due; 0 if nothing is left."""
    due = []
    for row in world.rows:
        if row.state not in ENDED:
            due.append(row.not_before)
            due += [row.claim_deadline] if row.state == State.WAITING else []
            due += [row.issue_until] if row.state == State.QUEUED else []
        elif row.final_lookup_at and row.state in (State.FAILED, State.CANCELLED):
            due.append(row.final_lookup_at)
    due += [pending.due + world.skew for pending in world.vendor.pending]
    if not due and world.next_event() is None:
        return 0.0
    due += [until for until in accounts.values_list("parked_until", flat=True) if until]
    waits = [(moment - world.now).total_seconds() for moment in due]
    if (event := world.next_event()) is not None:
        waits.append(event - world.elapsed)
    return min((wait for wait in waits if wait > 0), default=1.0) + 0.001
