"""A database for each simulating process."""

import logging

from django.core.management import call_command
from django.db import connection, connections

from tests.simulation.invariants.takes import note_takes


def create_database(name: str) -> None:
    """Drop an earlier run's database, create a fresh one with the legal rules, and use it. Needs Django set up."""
    logging.disable(logging.CRITICAL)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS simulation_{name} WITH (FORCE)")
    connection.settings_dict["TEST"]["NAME"] = f"simulation_{name}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connections.close_all()
    call_command("loaddata", "legal_rules", verbosity=0)
    note_takes()
