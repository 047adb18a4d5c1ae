"""Migrations can run while the previous release serves, and running them again changes nothing."""

import os
import re
import subprocess
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from config.processes import embedded
from config.settings import INSTALLED_APPS, ROOT
from tests.deploy.migration_rules import violations

APPS = [app for app in INSTALLED_APPS if (ROOT / app).is_dir()]

# App → the last migration in production. None: nothing is released yet, so all migrations run on empty tables. From the
# first release on, every later migration must keep the rules.
RELEASED: dict[str, str] | None = None

# (app, migration) → why it may break a rule. Each needs a review.
EXCUSED: dict[tuple[str, str], str] = {}


def sql_of(app: str, name: str) -> str:
    out = StringIO()
    call_command("sqlmigrate", app, name, stdout=out)
    return out.getvalue()


def unreleased() -> list[tuple[str, str]]:
    if RELEASED is None:
        return []
    names = sorted(MigrationLoader(connection).disk_migrations)
    return [(app, name) for app, name in names if app in APPS and name > RELEASED.get(app, "")]


@pytest.mark.django_db
def test_no_migration_since_the_release_breaks_a_rule() -> None:
    checked = {key: list(violations(sql_of(*key))) for key in unreleased() if key not in EXCUSED}
    assert not {key: found for key, found in checked.items() if found}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('CREATE INDEX "x" ON "invoices_invoice" ("state")', "CONCURRENTLY"),
        ('CREATE UNIQUE INDEX "x" ON "webhooks_webhookevent" ("type")', "CONCURRENTLY"),
        ('ALTER TABLE "invoices_payment" ADD CONSTRAINT "c" CHECK ("total" >= 0)', "NOT VALID"),
        ('ALTER TABLE "invoices_payment" ADD CONSTRAINT "c" FOREIGN KEY ("x") REFERENCES "y" ("id")', "NOT VALID"),
        ('ALTER TABLE "invoices_payment" ADD CONSTRAINT "c" UNIQUE ("total")', "USING"),
        ('ALTER TABLE "invoices_invoice" ALTER COLUMN "total" TYPE numeric', "rewrites"),
        ('ALTER TABLE "invoices_invoice" ALTER COLUMN "code" SET NOT NULL', "under lock"),
        ('ALTER TABLE "invoices_invoice" ADD COLUMN "x" integer NOT NULL', "db_default"),
        ('ALTER TABLE "invoices_invoice" ADD COLUMN "x" bigint DEFAULT snowflake() NOT NULL', "computed"),
        ('ALTER TABLE "invoices_invoice" ALTER COLUMN "x" DROP DEFAULT', "still inserts"),
        ('ALTER TABLE "invoices_invoice" DROP COLUMN "x" CASCADE', "the previous release"),
        ('ALTER TABLE "invoices_invoice" RENAME COLUMN "x" TO "y"', "the previous release"),
        ('UPDATE "invoices_invoice" SET "x" = 1', "in steps"),
        ("-- THIS OPERATION CANNOT BE WRITTEN AS SQL\n", "in steps"),
    ],
)  # fmt: skip
def test_a_harmful_statement_is_found(statement: str, expected: str) -> None:
    ((why, shown),) = violations(f"BEGIN;\n--\n-- something\n--\n{statement};\nCOMMIT;")
    assert expected in why and shown.rstrip(";") in (statement, "CANNOT")


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE INDEX CONCURRENTLY "x" ON "invoices_invoice" ("state")',
        'ALTER TABLE "invoices_payment" ADD CONSTRAINT "c" CHECK ("total" >= 0) NOT VALID',
        'ALTER TABLE "invoices_payment" VALIDATE CONSTRAINT "c"',
        'ALTER TABLE "invoices_invoice" ADD COLUMN "x" integer NULL',
        'ALTER TABLE "invoices_invoice" ADD COLUMN "x" integer DEFAULT 0 NOT NULL',
        'CREATE INDEX "x" ON "invoices_legalrules" ("forms")',
        'CREATE TABLE "invoices_new" ("id" bigint NOT NULL);\nCREATE INDEX "x" ON "invoices_new" ("id")',
    ],
)  # fmt: skip
def test_a_harmless_statement_passes(statement: str) -> None:
    assert not list(violations(f"BEGIN;\n{statement};\nCOMMIT;"))


@pytest.mark.django_db
def test_the_rules_read_real_migrations() -> None:
    """A plain index on a table that existed before."""
    assert any("CONCURRENTLY" in why for why, _ in violations(sql_of("config", "0001_sql")))


@pytest.mark.django_db(transaction=True)
def test_migrating_twice_changes_nothing_not_even_a_sequence() -> None:
    call_command("run", "migrate", verbosity=0)
    before = dump()
    call_command("run", "migrate", verbosity=0)
    connection.close()  # it still has a migration's time-outs
    assert any("Hà Nội" in line for line in before) and any("setval" in line for line in before)
    assert dump() == before


def dump() -> list[str]:
    """Schema, rows and sequences of the test's database as pg_dump writes them, in sorted lines."""
    tool: Any = embedded._postgres(settings.LOCAL).bin_path / "pg_dump"
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    text = subprocess.run([tool, f"--dbname={url}"], capture_output=True, text=True, check=True).stdout
    return sorted(line for line in text.splitlines() if not re.match(r"\\(un)?restrict ", line))  # a random word
