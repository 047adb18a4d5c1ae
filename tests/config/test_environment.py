"""Each variable is documented where it is read, once."""

import re

from config.environment import knobs, table
from config.settings import ROOT

SOURCE = (ROOT / "config" / "settings.py").read_text()


def test_every_variable_that_the_settings_read_is_found_and_says_what_it_means() -> None:
    read = set(re.findall(r"""(?:env\.\w+|positive)\(\s*["']([A-Z_]+)["']""", SOURCE))
    found = {knob.name: knob for knob in knobs()}
    assert set(found) == read
    assert not [name for name, knob in found.items() if not knob.meaning], "say it in a comment beside the read"


def test_defaults_are_productions() -> None:
    found = {knob.name: knob for knob in knobs()}
    assert found["PORT"].default == "31140"
    assert found["KAFKA_SESSION_SECONDS"].default == "45"
    assert found["WEBHOOK_HIGH_PORTS"].default == "false"
    assert found["SECRET_KEY"].default is found["JWKS_URL"].default is found["DATABASE_URL"].default is None
    assert found["MIGRATE_LOCK_TIMEOUT_MS"].section == "PostgreSQL and Redis"


def test_the_table_has_a_row_each() -> None:
    assert len(re.findall(r"^\| `", table(), re.MULTILINE)) == len(knobs())
