"""Proofs of absence that prove nothing, and doubts that end too early or never."""

from tests.simulation.breaks.edits import Edit

SEND, LOOKUP, STEPS = (f"invoices.issuing.decide.{module}" for module in ("send", "lookup", "steps"))
RECORD = "invoices.issuing.record"
FIRST_DOUBT = "row.first_uncertain_at or issuance.taken_at"

ABSENCE: dict[str, tuple[Edit, ...]] = {
    "the settle time is ignored": (Edit(f"{RECORD}:STORE_LOOKUP", "%(settle)s * ", "0 * %(settle)s * "),),
    "an error counts as not found": (
        Edit(f"{RECORD}:_store", "one.answer is None", 'type(one.answer).__name__ != "Found"'),
    ),
    "the second look-up need not settle": (
        Edit(f"{RECORD}:STORE_LOOKUP", "coalesce(not_found_at, last_byte_by)", "last_byte_by"),
    ),
    "one look-up is proof": (Edit(f"{LOOKUP}:after_lookup", "not_founds >= 2", "not_founds >= 1"),),
    "the next doubt overwrites the first": (Edit(f"{SEND}:_uncertain_changes", FIRST_DOUBT, "issuance.taken_at"),),
    "an early look-up counts as the final one": (
        Edit(f"{LOOKUP}:_after_final_lookup", "if begun < issuance.last_byte_by + FINAL_LOOKUP_AFTER:", "if False:"),
    ),
    "a late look-up clears the doubt of a replayed invoice": (
        Edit(f"{LOOKUP}:_after_final_lookup", " or row.state not in (State.FAILED, State.CANCELLED)", ""),
        Edit(f"{LOOKUP}:_after_final_lookup", "if begun < issuance.last_byte_by + FINAL_LOOKUP_AFTER:", "if False:"),
    ),
    "a failed final look-up is not tried again": (
        Edit(f"{LOOKUP}:_after_final_lookup", "now + lookup_delay(len(settings.LOOKUP_STEPS))", "None"),
    ),
    "a failed final look-up ends the doubt": (
        Edit(f"{LOOKUP}:_after_final_lookup", "if answer is None:", "if not isinstance(answer, Found):"),
    ),
    "an exposed invoice is past doubt": (Edit(f"{LOOKUP}:_after_final_lookup", "{} if row.exposed else ", ""),),
    "the final look-up is forgotten": (Edit(f"{STEPS}:unexposed_changes", "if row.first_uncertain_at", "if False"),),
}
