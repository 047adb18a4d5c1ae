"""How commands are told of which order: ORDER, and --merchant where two merchants have one of that name."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from invoices.models import Invoice, Payment


def add_order(parser: ArgumentParser) -> None:
    parser.add_argument("order", metavar="ORDER", help="the platform's orderId")
    parser.add_argument("--merchant", metavar="CODE", default="", help="the platform's merchantId")


def documents_of(order: str, merchant: str = "") -> list[Invoice]:
    """An order's invoice and its corrections, by number. Raises CommandError unless it is exactly one order's."""
    invoices = Invoice.objects.select_related("merchant", "account__merchant").filter(order_id=order)
    if merchant:
        invoices = invoices.filter(merchant__code=merchant)
    documents = list(invoices.order_by("merchant__code", "document_no"))
    if not documents:
        raise CommandError(_why_none(order, merchant))
    if len({invoice.merchant_id for invoice in documents}) > 1:
        lines = [
            f"  --merchant {i.merchant.code}  {i.merchant.name}, {i.state}" for i in documents if i.document_no == 1
        ]
        raise CommandError("\n".join([f"Several merchants have an order {order}; say which:", *lines]))
    return documents


def _why_none(order: str, merchant: str) -> str:
    whose = f" of merchant {merchant}" if merchant else ""
    payments = Payment.objects.filter(order_id=order)
    if merchant:
        payments = payments.filter(merchant_code=merchant)
    told = [f"  payment {p.payment_id} of merchant {p.merchant_code}: {p.get_parked_display()}" for p in payments]
    if told:
        return "\n".join([f"Order {order}{whose} was paid and has no invoice yet:", *told])
    return f"Nothing is known of an order {order}{whose}. Order ids are exact, capitals too."
