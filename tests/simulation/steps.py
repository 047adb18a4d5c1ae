"""What may happen next, drawn by the dice: facts, workers, the sweep, operators, time and inject_fault."""

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
    """One step of a seed in inject_fault: time passes, or somebody operations, or several at once."""
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
    match dice.pick([(3, "crash"), (3, "freeze"), (1, "clock"), (1, "bells")]):
        case "crash":
            worker.crash()
            world.note(f"{worker.name} was killed")
        case "freeze":
            seconds = dice.pick([(1, 12 * dice.share()), (2, 300 * dice.share()), (2, 1200 * dice.share())])
            worker.frozen_until = world.elapsed + seconds
            world.note(f"{worker.name} is frozen for {seconds:.0f} s")
        case "clock":
            # Set back it only makes us wait longer; from one set forward nothing but the key protects.
            forward = world.vendor.strict and dice.maybe(0.5)
            world.skew += timedelta(seconds=300 * dice.share()) * (1 if forward else -1)
            world.note(f"our clock is set {'forward' if forward else 'back'}")
        case "bells":
            world.wakeups.clear()
            world.note("bells are lost")


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
        broken = invariants.taken_in_order(world, {call.invoice_id for call in operations[0].result if call.is_send})
        assert not broken, broken


def draw_operation(world: World, free: list[Worker]) -> Operation | None:
    """An operation of somebody; of the workers only those that are free."""
    kind = world.dice.pick([(6, draw_fact), (10, draw_worker_operation), (4, draw_upkeep), (1.5, draw_operator_action)])
    return kind(world, free)


def draw_worker_operation(world: World, free: list[Worker]) -> Operation | None:
    """A worker looks at a partition, or records what came back."""
    awake = [worker for worker in free if worker.frozen_until <= world.elapsed]
    if not awake:
        return None
    worker = world.dice.one(awake)
    if worker.answers and world.dice.maybe(0.6):
        return record_answers(world, worker)
    due = sorted(world.wakeups | {row.partition for row in world.rows if is_due(world, row)})
    if not due and world.dice.maybe(0.9):
        return None
    return take_due(world, worker, world.dice.one(due or [0, 1, 2]))


def is_due(world: World, row: Any) -> bool:
    return row.state in (State.QUEUED, *AWAITING_LOOKUP) and row.not_before <= world.now


def take_due(world: World, worker: Worker, partition: int, room: int = 200) -> Operation:
    def look() -> Any:
        freed, worker.freed = worker.freed, set()
        world.wakeups.discard(partition)
        taken = take_lookups(partition, room)
        return taken + take(partition, room, freed=freed)

    return Operation(f"{worker.name} looks at {partition}", look, worker=worker)


def record_answers(world: World, worker: Worker) -> Operation:
    """All that is in hand is recorded as one group, as the pump does."""
    answers, worker.answers = worker.answers, []
    told = ", ".join(f"{world.label(a.call)} = {_describe(a.answer)}" for a in answers)

    def write() -> str:
        record(answers)
        worker.freed |= {a.call.account.id for a in answers if a.call.is_send}
        return "recorded"

    if world.dice.maybe(0.03):  # it was committed, but the worker could not hear that: it records once more
        worker.answers = list(answers)

    return Operation(f"{worker.name} records {told}", write, worker=worker)


def _describe(answer: Any) -> str:
    number = getattr(answer, "number", "")
    return f"{type(answer).__name__} {number or getattr(answer, 'code', '')}".strip() if answer else "not found"


def draw_upkeep(world: World, free: list[Worker]) -> Operation:
    name, what = world.dice.pick(
        [
            (4, ("the sweep", sweep.sweep)),
            (2, ("expiry", lambda: [claim_window.expire_claims(p) for p in range(3)] and "done")),
            (1, ("last looks", final_lookups.run_final_lookups)),
            (1, ("probes", parked_accounts.probe_parked)),
        ]
    )
    return Operation(name, what)


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
            return fact_operation(f"{sale['orderId']} is told again", *facts.payment(sale))
        case "refund":
            full = dice.maybe(0.7)
            told = cast.refund(sale, full=full, **({} if full else {"amount": 20000}))
            return fact_operation(f"{sale['orderId']} is refunded{'' if full else ' in part'}", facts.refund(told))
        case "request":
            return fact_operation(
                f"{sale['orderId']} is asked for", facts.request(cast.request(sale, buyer=dice.one(BUYERS)))
            )
        case _:
            return draw_claim(world, sale)


def register_merchant(world: World, code: str) -> None:
    """Not interleaved: a merchant is one transaction of another service."""
    with clock.frozen(world.now):
        world.note(f"{code} arrives {world.add_merchant(code)}")


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
    return fact_operation(f"{order} is paid", *facts.payment(sale))


def fact_operation(name: str, *told: Any) -> Operation:
    def do() -> str:
        opening = apply_facts(*told, actor="platform")
        return f"{opening.outcome} {opening.parked}{opening.invoice and opening.invoice.state or ''}"

    return Operation(name, catch_refusals(do), resend_after_crash=True)


def draw_claim(world: World, sale: dict[str, Any]) -> Operation | None:
    merchant = world.merchants.get(sale["merchantId"])
    invoice = merchant and Invoice.objects.filter(merchant=merchant, order_id=sale["orderId"]).first()
    if not invoice:
        return None
    buyer = world.dice.one(BUYERS)
    return Operation(f"{invoice.order_id} is claimed", catch_refusals(lambda: claim.claim(invoice.claim_token, buyer).state))


def catch_refusals(work: Callable[[], Any]) -> Callable[[], Any]:
    """What the product answers to somebody who asks for what cannot be."""

    def do() -> Any:
        try:
            return work()
        except REFUSALS as error:
            return f"declined: {error}"

    return do


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
    name, what = dice.pick(
        [
            (6, ("replay", lambda: replay(invoice, **by))),
            (2, ("amend", lambda: amend(invoice, buyer=cast.PERSON, **by).state)),
            (1, ("amend the lines of", lambda: amend(invoice, lines=remaining_lines(invoice), **by).state)),
            (1, ("skip", lambda: skip_and_note(world, invoice, **by))),
            (1, ("adopt", lambda: adopt(invoice, **by).state)),
            (1, ("look up", lambda: look_up(invoice, **by).told)),
            (0.5, ("issue now", lambda: issue_now(invoice, **by).state)),
            (0.3, ("cancel", lambda: cancel(invoice, **by).state)),
            (1, ("re-snapshot", lambda: refresh_configuration(invoice, **by).symbol)),
            (1, ("pause the account of", lambda: accounts.update(paused=True))),
            (2, ("open the account of", lambda: accounts.update(paused=False, parked_until=None))),
            (1, ("pause the merchant of", lambda: pause(invoice.merchant, **by))),
            (1, ("go on with the merchant of", lambda: resume(invoice.merchant, **by))),
            (1, ("new account for the merchant of", lambda: new_account(invoice))),
            (1, ("pause the partition of", lambda: pause(partition_of(invoice), **by))),
            (1, ("go on with the partition of", lambda: resume(partition_of(invoice), **by))),
        ]
    )
    return Operation(f"operator: {name} {invoice.order_id} ({invoice.state})", catch_refusals(what))


def remaining_lines(invoice: Invoice) -> list[dict[str, Any]]:
    """Lines that come to what was paid less what went back."""
    left = invoice.sold["total"] - invoice.refunded_amount
    return [{"name": "Cà phê sữa đá", "quantity": 1, "unitPrice": max(left, 0), "vatRate": "8%"}]


def skip_and_note(world: World, invoice: Invoice, **by: str) -> str:
    skip(invoice, **by)
    world.skipped.add(invoice.pk)  # an operator ended it, whatever the provider made of it
    return "skipped"


def partition_of(invoice: Invoice) -> Partition:
    return Partition.objects.get(number=invoice.partition)


def new_account(invoice: Invoice) -> str:
    """The merchant goes on with another symbol."""
    symbol = f"C26TB{invoice.merchant.accounts.count()}"
    cast.account(invoice.merchant, symbol=symbol)
    return symbol
