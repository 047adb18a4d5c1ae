"""What a migration must not do to a table that is large and in use, judged by its SQL.

While it runs, the release before it goes on serving: what that one reads and writes must stay possible.
"""

import re
from collections.abc import Iterator

import sqlparse

# Tables that stay small enough to be locked for a moment, and old code of which may be put out of step for a minute.
SMALL = {
    "config_configuration", "config_historicalconfiguration", "config_signintries", "config_counterslot",
    "merchants_administrativeunit", "invoices_legalrules", "invoices_partition", "invoices_historicalpartition",
    "webhooks_webhookendpoint", "webhooks_historicalwebhookendpoint", "django_content_type", "auth_permission",
}  # fmt: skip

CANNOT = "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"  # what sqlmigrate says of Python

RULES = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "an index of a table in use is made CONCURRENTLY: AddIndexConcurrently",
    r"ADD CONSTRAINT \S+ (UNIQUE|PRIMARY KEY|EXCLUDE) ?\(": "its index first, CONCURRENTLY; the constraint USING it",
    r"ADD CONSTRAINT \S+ (CHECK|FOREIGN KEY)(?!.*NOT VALID)": "add it NOT VALID, and validate it in a migration after",
    r"ALTER COLUMN \S+ TYPE": "another type writes the whole table anew: a new column, filled in steps",
    r"ALTER COLUMN \S+ SET NOT NULL": "this reads the whole table under lock: a valid CHECK first",
    r"ADD COLUMN (?!.*\bDEFAULT\b).*NOT NULL": "old rows, and code that does not know it, need a default: db_default",
    r"ADD COLUMN .*DEFAULT [^,;]*\w+\(": "a computed default writes the whole table anew: add it without, then set it",
    r"ADD COLUMN .*GENERATED ALWAYS": "a stored column writes the whole table anew",
    r"ALTER COLUMN \S+ DROP DEFAULT": "the release before still inserts without it: keep the default, by db_default",
    r"(DROP COLUMN|RENAME)": "the release before still reads it: stop using it in one release, remove it in the next",
    r"^(UPDATE|DELETE)": "one statement over all rows holds them all: a command that goes in steps",
    r"^(LOCK|CLUSTER|VACUUM FULL|REINDEX (?!.*CONCURRENTLY))": "this shuts everybody out",
    r"^CANNOT": "Python cannot be judged here: a command that goes in steps",
}
TABLE = re.compile(
    r"^(?:ALTER TABLE(?: ONLY)?|UPDATE|DELETE FROM|LOCK(?: TABLE)?|CLUSTER|VACUUM FULL|REINDEX TABLE"
    r'|CREATE (?:UNIQUE )?INDEX.*? ON(?: ONLY)?) "?(\w+)"?'
)


def violations(sql: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a migration's SQL, and the statement. Tables that it makes itself are nobody's yet."""
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
