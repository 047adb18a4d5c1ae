"""Invoice → the frozen Document that is sent to a provider, as one canonical text."""

import dataclasses
import hashlib
import json
from datetime import date
from typing import Any

from invoices.audit import canonical_json
from invoices.models import Invoice, LegalRules
from invoices.opening.money import Bill
from invoices.opening.words import in_words
from invoices.providers.base import Buyer, Document, Line, RateTotal, Related, Seller


def render_document(invoice: Invoice) -> str:
    """The document of an invoice, rendered from its row and nothing else."""
    bill = Bill.from_json(invoice.bill)
    seller = invoice.config_snapshot["seller"]
    account = invoice.config_snapshot["account"]
    document = Document(
        reference=str(invoice.reference),
        kind=invoice.kind,
        form=invoice.form,
        symbol=invoice.symbol,
        template=account["template"],
        issue_date=invoice.issue_date,
        payment_method=invoice.sold["paymentMethod"],
        seller=Seller(
            tax_code=seller["taxCode"],
            legal_name=seller["legalName"],
            address=seller["address"],
            phone=seller["phone"],
            email=seller["email"],
        ),
        buyer=printed_buyer(invoice.buyer, LegalRules.on(invoice.issue_date).consumer_text),
        lines=bill.lines,
        by_rate=bill.by_rate,
        net=bill.net,
        vat=bill.vat,
        total=bill.total,
        in_words=in_words(bill.total),
        relates_to=None,
    )
    return canonical_json(dataclasses.asdict(document))


def render_changes(invoice: Invoice) -> dict[str, str]:
    """The changes of a Step that give an invoice its document."""
    text = render_document(invoice)
    return {"document": text, "document_sha256": sha256(text)}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse_document(text: str) -> Document:
    """The Document of a stored text."""
    raw = json.loads(text)
    related = raw.pop("relates_to")
    return Document(
        **raw
        | {
            "issue_date": date.fromisoformat(raw["issue_date"]),
            "seller": Seller(**raw["seller"]),
            "buyer": Buyer(**raw["buyer"]),
            "lines": tuple(Line(**line) for line in raw["lines"]),
            "by_rate": tuple(RateTotal(**rate) for rate in raw["by_rate"]),
        },
        relates_to=Related(**related | {"issue_date": date.fromisoformat(related["issue_date"])}) if related else None,
    )


def printed_buyer(details: dict[str, Any], consumer_text: str) -> Buyer:
    """The buyer as printed: an organisation by its legal name, a person by name, the consumer by the law's text."""
    if not details:
        return Buyer(name=consumer_text, is_consumer=True)
    legal_name = "" if details["kind"] == "individual" else details.get("legalName") or details["name"]
    return Buyer(
        name="" if details["name"] == legal_name else details["name"],
        legal_name=legal_name,
        tax_code=details.get("taxCode", ""),
        personal_id=details.get("personalId", ""),
        budget_code=details.get("budgetCode", ""),
        address=details.get("address", ""),
        email=details.get("email", ""),
        phone=details.get("phone", ""),
    )
