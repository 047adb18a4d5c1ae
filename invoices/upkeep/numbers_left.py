"""Count the invoice numbers that accounts have left. Vendors do not report it; operators enter `last_number`."""

from django.db import connection

# Numbers rise in the order of issue except for invoices in flight, so an account's newest rows hold its highest number.
COUNT_LEFT = """
UPDATE merchants_provideraccount AS account SET numbers_left = greatest(0, account.last_number - used.highest)
FROM merchants_provideraccount AS a CROSS JOIN LATERAL (
    SELECT coalesce(max(number::int), 0) AS highest FROM (
        SELECT number FROM invoices_invoice WHERE account_id = a.id AND number <> '' ORDER BY id DESC LIMIT 100
    ) AS newest
) AS used
WHERE account.id = a.id AND a.last_number IS NOT NULL AND a.deleted_at IS NULL
"""


def count_numbers_left() -> int:
    """Write `numbers_left` of the accounts with a `last_number`; returns the number of accounts."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_LEFT)
        return cursor.rowcount
