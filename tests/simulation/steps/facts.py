"""Steps of the platform and the buyers: payments, refunds, requests, claims, new merchants."""

from datetime import timedelta
from typing import Any

from config.base import clock
from invoices.models import Invoice
from invoices.opening import facts
from invoices.opening.conclude import apply_facts
from invoices.operations import claim
from tests import cast
from tests.simulation.steps.refusals import catch_refusals
from tests.simulation.world.interleave import Operation
from tests.simulation.world.network import Worker
from tests.simulation.world.world import World

BUYERS = [cast.COMPANY, cast.PERSON, {**cast.PERSON, "name": "Trần Văn Bình"}]


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
