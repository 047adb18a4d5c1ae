"""Steps of operators: on invoices, and on accounts, merchants and partitions."""

from typing import Any

from config.base import clock
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from invoices.operations.adopt import adopt
from invoices.operations.amend import amend
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import look_up
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.replay import replay
from invoices.operations.skip import skip
from merchants.models import ProviderAccount
from merchants.pause import pause, resume
from tests import cast
from tests.simulation.steps.refusals import catch_refusals
from tests.simulation.world.interleave import Operation
from tests.simulation.world.network import Worker
from tests.simulation.world.world import World

OPEN = {"paused": False, "is_active": True, "deleted_at": None, "parked_until": None}


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
            (2, ("resume the account of", lambda: accounts.update(**OPEN))),
            (0.7, ("deactivate the account of", lambda: accounts.update(is_active=False))),
            (0.7, ("delete the account of", lambda: accounts.update(deleted_at=clock.now()))),
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
