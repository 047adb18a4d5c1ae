from invoices.api.accounts import ProviderAccounts
from invoices.api.invoices import Invoices
from invoices.api.requests import InvoiceRequests

__all__ = ["InvoiceRequests", "Invoices", "ProviderAccounts"]
