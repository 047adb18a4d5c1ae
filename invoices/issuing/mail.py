"""Mail the issued invoice to the buyer who left an address."""

from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation
from structlog.stdlib import get_logger

from invoices.models import Invoice
from invoices.providers.base import Files

log = get_logger(__name__)


def send_invoice(invoice: Invoice, files: Files) -> bool:
    """Mail the files if the buyer left an address and the merchant sends mails. Returns whether a mail was sent."""
    address = invoice.buyer.get("email")
    if not address or not invoice.policy.get("mailsBuyer"):
        return False
    context = {"invoice": invoice, "seller": invoice.config_snapshot["seller"]["legalName"]}
    with translation.override("vi"):  # the buyer's language, with the English below it
        subject = " ".join(render_to_string("invoices/mail_subject.txt", context).split())
        text = render_to_string("invoices/mail.txt", context)
    message = EmailMessage(subject=subject, body=text, to=[address])
    name = f"{invoice.form}{invoice.symbol}-{invoice.number}"
    message.attach(f"{name}.pdf", files.pdf, "application/pdf")
    message.attach(f"{name}.xml", files.xml, "application/xml")
    try:
        message.send()
    except OSError as error:  # the invoice stays issued, and the buyer still has the page
        log.error("[mailFailed]", error=type(error).__name__, **invoice.about)
        return False
    return True
