"""What a migration must not do to a large table in use, checked in its SQL.

While it runs, the previous release keeps serving: its reads and writes must stay possible.
"""

import re
from collections.abc import Iterator

import sqlparse

# Tables small enough to be locked for a moment, and whose old code may fail for a minute.
SMALL = {
    "config_configuration", "config_historicalconfiguration", "config_signintries", "config_counterslot",
    "merchants_administrativeunit", "invoices_legalrules", "invoices_partition", "invoices_historicalpartition",
    "webhooks_webhookendpoint", "webhooks_historicalwebhookendpoint", "django_content_type", "auth_permission",
}  # fmt: skip

CANNOT = "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"  # sqlmigrate's text for Python code

RULES = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "create an index of a table in use CONCURRENTLY: AddIndexConcurrently",
    r"ADD CONSTRAINT \S+ (UNIQUE|PRIMARY KEY|EXCLUDE) ?\(": "the index first, CONCURRENTLY; the constraint USING it",
    r"ADD CONSTRAINT \S+ (CHECK|FOREIGN KEY)(?!.*NOT VALID)": "add it NOT VALID, and validate it in a later migration",
    r"ALTER COLUMN \S+ TYPE": "another type rewrites the whole table: add a new column and fill it in steps",
    r"ALTER COLUMN \S+ SET NOT NULL": "this reads the whole table under lock: add a valid CHECK first",
    r"ADD COLUMN (?!.*\bDEFAULT\b).*NOT NULL": "old rows and the previous release need a default: db_default",
    r"ADD COLUMN .*DEFAULT [^,;]*\w+\(": "a computed default rewrites the whole table: add it without, then set it",
    r"ADD COLUMN .*GENERATED ALWAYS": "a stored column rewrites the whole table",
    r"ALTER COLUMN \S+ DROP DEFAULT": "the previous release still inserts without it: keep the default by db_default",
    r"(DROP COLUMN|RENAME)": "the previous release still reads it: stop using it in one release, remove it in the next",
    r"^(UPDATE|DELETE)": "one statement locks all rows: write a command that works in steps",
    r"^(LOCK|CLUSTER|VACUUM FULL|REINDEX (?!.*CONCURRENTLY))": "this locks out all other sessions",
    r"^CANNOT": "Python code cannot be checked here: write a command that works in steps",
}
TABLE = re.compile(
    r"^(?:ALTER TABLE(?: ONLY)?|UPDATE|DELETE FROM|LOCK(?: TABLE)?|CLUSTER|VACUUM FULL|REINDEX TABLE"
    r'|CREATE (?:UNIQUE )?INDEX.*? ON(?: ONLY)?) "?(\w+)"?'
)


def violations(sql: str) -> Iterator[tuple[str, str]]:
    """Each violation in a migration's SQL, with its statement. Tables that it creates itself are not in use yet."""
    statements = [" ".join(statement.split()) for statement in sqlparse.split(_without_comments(sql))]
    fresh = {name for statement in statements for name in re.findall(r'^CREATE TABLE "?(\w+)"?', statement)}
    for statement in statements:
        table = TABLE.match(statement)
        if table and table[1] in SMALL | fresh:
            continue
        for pattern, why in RULES.items():
            if re.search(pattern, statement):
                yield why, statement


def _without_comments(sql: str) -> str:
    lines = sql.replace(CANNOT, "CANNOT;").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))
