"""A database for each process that simulates."""

import logging

from django.core.management import call_command
from django.db import connection, connections


def make(name: str) -> None:
    """Drop what an earlier run left, make a fresh database with the law in it, and use it. Django must be set up."""
    logging.disable(logging.CRITICAL)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS simulation_{name} WITH (FORCE)")
    connection.settings_dict["TEST"]["NAME"] = f"simulation_{name}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connections.close_all()
    call_command("loaddata", "legal_rules", verbosity=0)
