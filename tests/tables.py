"""Empty the tables after a transactional test: DELETE where there are rows.

Django's flush truncates every table with its indexes, and makes content types and permissions again. Here they stay,
and so do the legal rules.
"""

from django.core.management import call_command
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

KEPT = ("django_content_type", "auth_permission", "invoices_legalrules")
MANY = 1000  # rows that a VACUUM should follow: the planner knows the table as large
_kept = ""


def load() -> None:
    """Load the rows that every test starts with."""
    global _kept
    call_command("loaddata", "legal_rules", verbosity=0)
    with connection.cursor() as cursor:
        _kept = _fingerprint(cursor)


def empty() -> None:
    """Delete everything else. If a test changed the kept rows, they are made again."""
    with connection.cursor() as cursor:
        large = []
        with transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")  # no foreign keys, no guards of the audit
            for table in _filled(cursor):
                cursor.execute(f"DELETE FROM {table}")
                if cursor.rowcount >= MANY:
                    large.append(table)
        if large:
            cursor.execute(f"VACUUM (ANALYZE) {', '.join(large)}")
        changed = _fingerprint(cursor) != _kept
    if changed:
        call_command("flush", verbosity=0, interactive=False)
        load()


def _filled(cursor: CursorWrapper) -> list[str]:
    tables = set(connection.introspection.django_table_names()) - set(KEPT)
    cursor.execute(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables))
    return [row[0] for row in cursor.fetchall()]


def _fingerprint(cursor: CursorWrapper) -> str:
    rows = " UNION ALL ".join(f"SELECT {table}::text AS row FROM {table}" for table in KEPT)
    cursor.execute(f"SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM ({rows})")
    return str(cursor.fetchone()[0])
