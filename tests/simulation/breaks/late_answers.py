"""Late and foreign answers that count for more, or for less, than they may."""

from tests.simulation.breaks.edits import Edit

SEND, LOOKUP = "invoices.issuing.decide.send", "invoices.issuing.decide.lookup"

LATE_ANSWERS: dict[str, tuple[Edit, ...]] = {
    "a number for a queued invoice is ignored": (
        Edit(f"{SEND}:_numbered", "if row.state == State.QUEUED:\n", "if row.state == State.QUEUED:\n        return\n"),
    ),
    "a number for a queued invoice is a conflict": (
        Edit(f"{SEND}:_numbered", "if row.state == State.QUEUED:", "if False:"),
    ),
    "a failed older attempt ends the current one": (
        Edit(f"{SEND}:after_send", "row.exposed_by != issuance.pk or ", ""),
    ),
    "a look-up of an older attempt proves the current one absent": (
        Edit(f"{LOOKUP}:after_lookup", " and row.exposed_by == issuance.pk", ""),
    ),
    "a look-up reopens a skipped invoice": (
        Edit(
            f"{LOOKUP}:after_lookup",
            "row.state not in AWAITING_LOOKUP:",
            "row.state not in AWAITING_LOOKUP and not isinstance(answer, Found):",
        ),
    ),
    "an answer reopens a skipped invoice": (
        Edit(f"{SEND}:_numbered", "(State.SENDING, State.UNCERTAIN)", "(State.SENDING, State.UNCERTAIN, State.FAILED)"),
    ),
    "a refusal fails an issued invoice": (
        Edit(f"{SEND}:after_send", " or row.state not in (State.SENDING, State.UNCERTAIN)", ""),
    ),
    "a second number of another attempt is taken": (
        Edit(
            f"{SEND}:after_redundant_send",
            "if (answer.symbol, answer.number) != (numbered.symbol, numbered.number):",
            "if False:",
        ),
    ),
    "a second number is ignored": (
        Edit(f"{SEND}:_numbered", "return fail_as_conflict(row, why, issuance) if why else None", "return None"),
    ),
    "the same number under another symbol is the same": (
        Edit(
            "invoices.issuing.decide.conflicts:second_number",
            "(row.symbol, row.number) == (answer.symbol, answer.number)",
            "row.number == answer.number",
        ),
    ),
    "a failure hides the number of an earlier attempt": (
        Edit(f"{SEND}:after_redundant_send", "elif row.exposed_by == issuance.pk and", "elif False and"),
    ),
    "a second answer for one invoice is dropped": (Edit("invoices.issuing.record:record", "is not one]", "is None]"),),
}
