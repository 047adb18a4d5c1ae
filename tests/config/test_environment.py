"""Every environment variable is declared once, with its meaning; all wrong ones are reported together."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment, env, table

FOUND = env.variables


def test_every_variable_says_what_it_means() -> None:
    assert not [variable.name for variable in FOUND.values() if not variable.meaning]


def test_defaults_are_those_of_production() -> None:
    assert FOUND["PORT"].default == "31140"
    assert FOUND["KAFKA_SESSION_SECONDS"].default == "45"
    assert FOUND["WEBHOOK_HIGH_PORTS"].default == "false"
    assert FOUND["SECRET_KEY"].default is FOUND["JWKS_URL"].default is FOUND["DATABASE_URL"].default is None
    assert FOUND["MIGRATE_LOCK_TIMEOUT_MS"].section == "PostgreSQL and Redis"


def test_the_table_has_a_row_for_each_variable() -> None:
    assert len(re.findall(r"^\| `", table(), re.MULTILINE)) == len(FOUND)


def test_all_wrong_variables_are_reported_at_once_without_their_values() -> None:
    values = {"A": "x1", "B": "-2", "C": "maybe", "D": "3,x2", "E": "x3", "F": "", "G": "elsewhere"}
    wrong = Environment(values)
    assert wrong.whole("A", "A number.", 5) == 5
    assert wrong.seconds("B", "A time.", 6) == 6
    assert wrong.flag("C", "A switch.") is False
    assert wrong.steps("D", "Times.", [1.0]) == [1.0]
    assert wrong.options("E", "Options.") == {}
    assert wrong.text("F", "A text.") == ""
    assert wrong.text("G", "A place.", "here", one_of=("here", "there")) == "here"
    assert wrong.database("H", "A database.") == {}
    with pytest.raises(ImproperlyConfigured) as error:
        wrong.finish()
    lines = str(error.value).splitlines()
    assert [line[0] for line in lines] == list("ABCDEFGH")
    assert lines[7] == "H is not set: A database."
    assert not re.search(r"x\d|maybe|elsewhere", str(error.value))


def test_the_development_defaults_hold_in_development_only() -> None:
    values: dict[str, str] = {}
    own, production = Environment(values), Environment(values)
    own.development = True
    assert own.seconds("S", "A time.", 45, development=6) == 6
    assert production.seconds("S", "A time.", 45, development=6) == 45
    assert own.words("W", "Words.", development=["*"]) == ["*"] and production.words("W", "Words.") == []
