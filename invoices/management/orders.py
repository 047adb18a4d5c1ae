"""The arguments of commands about one order: ORDER, and --merchant if several merchants have that order id."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from invoices.models import Invoice, Payment


def add_order_argument(parser: ArgumentParser) -> None:
    parser.add_argument("order", metavar="ORDER", help="the platform's orderId")
    parser.add_argument("--merchant", metavar="CODE", default="", help="the platform's merchantId")


def find_documents(order: str, merchant: str = "") -> list[Invoice]:
    """An order's invoice and its corrections, by document number. Raises CommandError unless one order matches."""
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
        raise CommandError("\n".join([f"Several merchants have an order {order}. Choose one:", *lines]))
    return documents


def _why_none(order: str, merchant: str) -> str:
    whose = f" of merchant {merchant}" if merchant else ""
    payments = Payment.objects.filter(order_id=order)
    if merchant:
        payments = payments.filter(merchant_code=merchant)
    lines = [f"  payment {p.payment_id} of merchant {p.merchant_code}: {p.get_parked_display()}" for p in payments]
    if lines:
        return "\n".join([f"Order {order}{whose} was paid and has no invoice yet:", *lines])
    return f"Order {order}{whose} is unknown. Order ids are case-sensitive."
