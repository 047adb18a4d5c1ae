"""Change the audit as a database superuser with triggers off, and verify it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from invoices.audit import chain_hash
from invoices.models import AuditVerification, Invoice, InvoiceAuditTracing
from invoices.upkeep import verify_audit

AUDIT, INVOICE = InvoiceAuditTracing._meta.db_table, Invoice._meta.db_table
HISTORY = Invoice.history.model._meta.db_table
OF_INVOICE = "WHERE invoice_id = %(invoice)s"
ROW = f"{OF_INVOICE} AND seq = 2"
HEAD = f"UPDATE {INVOICE} SET"


def tamper(sql: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # checks that are due until now
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        assert cursor.rowcount, "nothing was tampered with"
        cursor.execute("SET session_replication_role = origin")


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def verify() -> AuditVerification:
    verification = verify_audit.new_verification()
    while not verification.ended_at:
        verify_audit.verify_next_slice(verification)
    return verification


def find_faults() -> list[tuple[int, int, str]]:
    return [(row["invoice"], row["seq"], row["what"]) for row in verify().first_broken]


def rewrite(invoice: Invoice) -> None:
    """Rewrite a chain consistently, with the heads in the invoice and in the history."""
    row = invoice.tracings.get()
    record = row.record.replace("WAITING", "EXPIRED")
    values = {"record": record, "hash": chain_hash("", record), "invoice": invoice.pk}
    tamper(f"UPDATE {AUDIT} SET record = %(record)s, hash = %(hash)s {OF_INVOICE}", **values)
    for table in (INVOICE, HISTORY):
        tamper(f"UPDATE {table} SET audit_hash = %(hash)s WHERE id = %(invoice)s", **values)


def remove_all_traces(invoice: Invoice) -> None:
    for table, column in ((AUDIT, "invoice_id"), (HISTORY, "id"), (INVOICE, "id")):
        tamper(f"DELETE FROM {table} WHERE {column} = %(invoice)s", invoice=invoice.pk)
