"""The steps of a seed, drawn by the dice: facts, workers, upkeep, operators, passing time and faults."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from config.base import clock
from invoices.issuing import final_lookups, parked_accounts
from invoices.issuing.lookups import take_lookups
from invoices.issuing.record import record
from invoices.issuing.take import take
from invoices.lifecycle import AWAITING_LOOKUP, State, WrongState
from invoices.models import Invoice, Partition
from invoices.opening import claim_window, facts
from invoices.opening.conclude import apply_facts
from invoices.operations import claim
from invoices.operations.adopt import adopt
from invoices.operations.amend import amend
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import look_up
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from invoices.providers.base import ProviderError
from invoices.upkeep import sweep
from merchants.models import ProviderAccount
from merchants.pause import pause, resume
from tests import cast
from tests.simulation import invariants
from tests.simulation.interleave import Operation
from tests.simulation.network import Worker
from tests.simulation.world import World

REFUSALS = (WrongState, ProviderError, claim.UnknownToken, facts.Unacceptable)
BUYERS = [cast.COMPANY, cast.PERSON, {**cast.PERSON, "name": "Trần Văn Bình"}]


def step(world: World) -> None:
    """Run one random step: one operation, several at once, time passing, or a fault."""
    dice = world.dice
    dice.pick([(6, run_one), (3, run_several), (7, advance_time), (1, inject_fault)])(world)


def advance_time(world: World) -> None:
    dice = world.dice
    seconds = dice.pick(
        [(8, 5 * dice.share()), (8, 90 * dice.share()), (5, 400 * dice.share()), (1, 2 * 3600 * dice.share()),
         (0.3, 30 * 3600 * dice.share())]
    )  # fmt: skip
    world.advance(seconds)
    world.note(f"time passed: {seconds:.0f} s")
    world.check()


def inject_fault(world: World) -> None:
    dice = world.dice
    worker = dice.one(world.workers)
    match dice.pick([(3, "crash"), (3, "freeze"), (1, "clock"), (1, "wake-ups")]):
        case "crash":
            worker.crash()
            world.note(f"{worker.name} was killed")
        case "freeze":
            seconds = dice.pick([(1, 12 * dice.share()), (2, 300 * dice.share()), (2, 1200 * dice.share())])
            worker.frozen_until = world.elapsed + seconds
            world.note(f"{worker.name} is frozen for {seconds:.0f} s")
        case "clock":
            # A clock set back only makes us wait longer; against one set forward only the key check protects.
            forward = world.vendor.strict and dice.maybe(0.5)
            world.skew += timedelta(seconds=300 * dice.share()) * (1 if forward else -1)
            world.note(f"our clock is set {'forward' if forward else 'back'}")
        case "wake-ups":
            world.wakeups.clear()
            world.note("wake-ups are lost")


def run_one(world: World) -> None:
    if operation := draw_operation(world, world.workers):
        if world.dice.maybe(0.08):
            operation.crash_at = world.dice.count(1, 25)
        execute(world, operation)


def run_several(world: World) -> None:
    free, operations = list(world.workers), []
    for _ in range(world.dice.count(2, 3)):
        if operation := draw_operation(world, free):
            free = [worker for worker in free if worker is not operation.worker]
            if world.dice.maybe(0.05):
                operation.crash_at = world.dice.count(1, 25)
            operations.append(operation)
    execute(world, *operations)


def execute(world: World, *operations: Operation) -> None:
    if not operations:
        return
    world.execute(*operations)
    if len(operations) == 1 and isinstance(operations[0].result, list):
        sent = {call.invoice_id for call in operations[0].result if call.is_send}
        broken = invariants.order_violation(world, sent)
        assert not broken, broken


def draw_operation(world: World, free: list[Worker]) -> Operation | None:
    """A random operation; a worker's only of those in `free`."""
    kind = world.dice.pick([(6, draw_fact), (10, draw_worker_operation), (4, draw_upkeep), (1.5, draw_operator_action)])
    return kind(world, free)


def draw_worker_operation(world: World, free: list[Worker]) -> Operation | None:
    """A worker takes what is due in a partition, or records the answers that it has."""
    awake = [worker for worker in free if worker.frozen_until <= world.elapsed]
    if not awake:
        return None
    worker = world.dice.one(awake)
    if worker.answers and world.dice.maybe(0.6):
        return record_operation(world, worker)
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

    return Operation(f"{worker.name} takes from partition {partition}", take_both, worker=worker)


def record_operation(world: World, worker: Worker) -> Operation:
    """Record all answers of the worker as one group, as the pump does."""
    answers, worker.answers = worker.answers, []
    recorded = ", ".join(f"{world.label(a.call)} = {_describe(a.answer)}" for a in answers)

    def write() -> str:
        record(answers)
        worker.freed |= {a.call.account.id for a in answers if a.call.is_send}
        return "recorded"

    if world.dice.maybe(0.03):  # the commit succeeded but the worker does not know it: it records again
        worker.answers = list(answers)

    return Operation(f"{worker.name} records {recorded}", write, worker=worker)


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


# --- facts ------------------------------------------------------------------------------------------------------------


def draw_fact(world: World, free: list[Worker]) -> Operation | None:
    dice = world.dice
    missing = [code for code in world.merchant_codes if code not in world.merchants]
    if missing and dice.maybe(0.3):
        return register_merchant(world, missing[0])
    if not world.sales or (world.sales_left and dice.maybe(0.8)):
        return draw_payment(world)
    if world.unanswered and dice.maybe(0.5):
        return world.unanswered.pop()
    sale = dice.one(world.sales)
    match dice.pick([(1, "pay"), (3, "refund"), (3, "request"), (5, "claim")]):
        case "pay":
            return fact_operation(f"{sale['orderId']} is sent again", *facts.parse_payment(sale))
        case "refund":
            full = dice.maybe(0.7)
            refund = cast.refund(sale, full=full, **({} if full else {"amount": 20000}))
            return fact_operation(
                f"{sale['orderId']} is refunded{'' if full else ' in part'}", facts.parse_refund(refund)
            )
        case "request":
            return fact_operation(
                f"{sale['orderId']} is requested", facts.parse_request(cast.request(sale, buyer=dice.one(BUYERS)))
            )
        case _:
            return draw_claim(world, sale)


def register_merchant(world: World, code: str) -> None:
    """Not interleaved: a merchant is one transaction of another service."""
    with clock.frozen(world.now):
        world.note(f"{code} is registered {world.add_merchant(code)}")


def draw_payment(world: World) -> Operation | None:
    if not world.sales_left:
        return None
    dice = world.dice
    world.sales_left -= 1
    paid_at = world.now - timedelta(seconds=dice.pick([(8, 1), (2, 1800 * dice.share()), (1, 5 * 3600 * dice.share())]))
    order = f"order-{len(world.sales) + 1}"
    with clock.frozen(paid_at):
        sale = cast.payment(
            dice.one(world.merchant_codes), orderId=order, **({"buyer": dice.one(BUYERS)} if dice.maybe(0.3) else {})
        )
    world.sales.append(sale)
    return fact_operation(f"{order} is paid", *facts.parse_payment(sale))


def fact_operation(name: str, *fact: Any) -> Operation:
    def apply() -> str:
        opening = apply_facts(*fact, actor="platform")
        return f"{opening.outcome} {opening.parked}{opening.invoice and opening.invoice.state or ''}"

    return Operation(name, catch_refusals(apply), resend_after_crash=True)


def draw_claim(world: World, sale: dict[str, Any]) -> Operation | None:
    merchant = world.merchants.get(sale["merchantId"])
    invoice = merchant and Invoice.objects.filter(merchant=merchant, order_id=sale["orderId"]).first()
    if not invoice:
        return None
    buyer = world.dice.one(BUYERS)
    return Operation(
        f"{invoice.order_id} is claimed", catch_refusals(lambda: claim.claim(invoice.claim_token, buyer).state)
    )


def catch_refusals(work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, returning the product's refusal of an invalid request as text."""

    def guarded() -> Any:
        try:
            return work()
        except REFUSALS as error:
            return f"refused: {error}"

    return guarded


# --- operators --------------------------------------------------------------------------------------------------------


def draw_operator_action(world: World, free: list[Worker]) -> Operation | None:
    dice = world.dice
    invoices = list(Invoice.objects.filter(merchant__in=world.merchants.values()).order_by("id"))
    if not invoices:
        return None
    failed = [invoice for invoice in invoices if invoice.state == State.FAILED]
    invoice = dice.one(failed) if failed and dice.maybe(0.7) else dice.one(invoices)
    by = {"actor": "user:7", "reason": "simulated"}
    accounts = ProviderAccount.objects.filter(pk=invoice.account_id)
    name, work = dice.pick(
        [
            (6, ("replay", lambda: replay(invoice, **by))),
            (2, ("amend", lambda: amend(invoice, buyer=cast.PERSON, **by).state)),
            (1, ("amend the lines of", lambda: amend(invoice, lines=remaining_lines(invoice), **by).state)),
            (1, ("skip", lambda: skip_and_record(world, invoice, **by))),
            (1, ("adopt", lambda: adopt(invoice, **by).state)),
            (1, ("look up", lambda: look_up(invoice, **by).summary)),
            (0.5, ("issue now", lambda: issue_now(invoice, **by).state)),
            (0.3, ("cancel", lambda: cancel(invoice, **by).state)),
            (1, ("refresh the configuration of", lambda: refresh_configuration(invoice, **by).symbol)),
            (1, ("pause the account of", lambda: accounts.update(paused=True))),
            (2, ("resume the account of", lambda: accounts.update(paused=False, parked_until=None))),
            (1, ("pause the merchant of", lambda: pause(invoice.merchant, **by))),
            (1, ("resume the merchant of", lambda: resume(invoice.merchant, **by))),
            (1, ("new account for the merchant of", lambda: new_account(invoice))),
            (1, ("pause the partition of", lambda: pause(partition_of(invoice), **by))),
            (1, ("resume the partition of", lambda: resume(partition_of(invoice), **by))),
        ]
    )
    return Operation(f"operator: {name} {invoice.order_id} ({invoice.state})", catch_refusals(work))


def remaining_lines(invoice: Invoice) -> list[dict[str, Any]]:
    """Lines whose total is the paid amount minus the refunds."""
    left = invoice.sold["total"] - invoice.refunded_amount
    return [{"name": "Cà phê sữa đá", "quantity": 1, "unitPrice": max(left, 0), "vatRate": "8%"}]


def skip_and_record(world: World, invoice: Invoice, **by: str) -> str:
    skip(invoice, **by)
    world.skipped.add(invoice.pk)  # an operator ended it, whatever the provider did with it
    return "skipped"


def partition_of(invoice: Invoice) -> Partition:
    return Partition.objects.get(number=invoice.partition)


def new_account(invoice: Invoice) -> str:
    """Give the merchant a newer account with another symbol."""
    symbol = f"C26TB{invoice.merchant.accounts.count()}"
    cast.account(invoice.merchant, symbol=symbol)
    return symbol
