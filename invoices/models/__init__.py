from invoices.models.audit import InvoiceAuditTracing
from invoices.models.bulk import BulkItem, BulkRun
from invoices.models.facts import InvoiceRequest, Payment, Refund
from invoices.models.invoice import Invoice
from invoices.models.issuance import InvoiceFile, InvoiceIssuance, SentDocument
from invoices.models.partition import Partition
from invoices.models.rules import LegalRules
from invoices.models.terms import BuyerTerms
from invoices.models.verification import AuditVerification

__all__ = [
    "BulkItem",
    "BulkRun",
    "AuditVerification",
    "BuyerTerms",
    "Invoice",
    "InvoiceAuditTracing",
    "InvoiceFile",
    "InvoiceIssuance",
    "InvoiceRequest",
    "LegalRules",
    "Partition",
    "Payment",
    "Refund",
    "SentDocument",
]
