"""The events of the audit and their sentences."""

import re
from pathlib import Path

from invoices.audit import Event, sentence_of


def test_every_event_has_a_sentence_of_its_own() -> None:
    default_labels = {event for event in Event if event.label == event.name.replace("_", " ").title()}
    assert default_labels <= {Event.CANCELLED, Event.REPLAYED, Event.FAILED}  # one word says it
    assert len(set(Event.labels)) == len(Event)


def test_every_event_is_used_in_the_code() -> None:
    files = (file for file in Path("invoices").rglob("*.py") if file.name != "audit.py" and "dev" not in file.parts)
    used = {name for file in files for name in re.findall(r"\bEvent\.([A-Z_]+)", file.read_text())}
    assert used == set(Event.names)


def test_a_stored_event_that_this_release_does_not_know_is_shown_by_its_name() -> None:
    assert sentence_of("opened") == Event.OPENED.label
    assert sentence_of("something_new") == "Something new"
