"""Which moves there are, from the picture of an invoice's life, and what every move must meet."""

import itertools

import pytest

from invoices.audit import Event
from invoices.lifecycle import State, WrongState, may
from invoices.moving import Step, move_one
from tests.invoices.issuing.decide.rows import THIS, row

S = State
PICTURE = {
    (S.WAITING, S.QUEUED): "claimed, the window closed, or issued now",
    (S.WAITING, S.EXPIRED): "lapsed at the deadline",
    (S.WAITING, S.CANCELLED): "refunded whole, or no invoice is needed",
    (S.WAITING, S.FAILED): "refunded in part",
    (S.QUEUED, S.SENDING): "taken",
    (S.QUEUED, S.UNCERTAIN): "a late number",
    (S.QUEUED, S.CANCELLED): "refunded whole, or no invoice is needed",
    (S.QUEUED, S.FAILED): "late, skipped, or refunded in part",
    (S.SENDING, S.ISSUED): "issued",
    (S.SENDING, S.SUBMITTED): "numbered",
    (S.SENDING, S.QUEUED): "surely not issued",
    (S.SENDING, S.UNCERTAIN): "in doubt",
    (S.SENDING, S.CANCELLED): "surely not issued, and refunded whole",
    (S.SENDING, S.FAILED): "refused, exhausted, or a conflict",
    (S.UNCERTAIN, S.ISSUED): "found",
    (S.UNCERTAIN, S.SUBMITTED): "found without a code",
    (S.UNCERTAIN, S.QUEUED): "proven absent",
    (S.UNCERTAIN, S.CANCELLED): "proven absent, and refunded whole",
    (S.UNCERTAIN, S.FAILED): "a conflict, skipped, or absent with nothing left to try",
    (S.SUBMITTED, S.ISSUED): "the code arrived",
    (S.SUBMITTED, S.FAILED): "rejected, or a conflict",
    (S.ISSUED, S.REPLACED): "a correction was issued",
    (S.ISSUED, S.ADJUSTED): "a correction was issued",
    (S.ISSUED, S.FAILED): "a second number",
    (S.FAILED, S.QUEUED): "replayed or amended, not exposed",
    (S.FAILED, S.UNCERTAIN): "replayed, exposed",
    (S.FAILED, S.CANCELLED): "refunded whole, or no invoice is needed",
    (S.FAILED, S.ISSUED): "adopted",
    (S.CANCELLED, S.FAILED): "found after all",
}
LATER = {  # allowed by the design, for corrections and sales that are paid again
    (S.CANCELLED, S.WAITING), (S.CANCELLED, S.QUEUED),
    *itertools.product((S.REPLACED, S.ADJUSTED), (S.ISSUED, S.ADJUSTED, S.FAILED)),
}  # fmt: skip
UNEXPOSED = (S.WAITING, S.QUEUED, S.EXPIRED, S.CANCELLED)
NUMBERED = (S.SUBMITTED, S.ISSUED, S.REPLACED, S.ADJUSTED)


def test_an_invoice_may_stay_as_it_is_or_move_as_the_picture_shows_and_nothing_else() -> None:
    for source, target in itertools.product(S, S):
        if (source, target) not in LATER:
            assert may(source, target) == (source == target or (source, target) in PICTURE), (source, target)


def test_no_move_leaves_an_exposed_invoice_where_none_may_be_or_a_numbered_state_without_a_number() -> None:
    for source, target in PICTURE:
        for exposed_by, number, clears in itertools.product((None, THIS), ("", "7"), (False, True)):
            before = row(source, exposed_by=exposed_by, number=number)
            changes = {"exposed_at": None, "exposed_by": None} if clears else {}
            step = Step(to=target, event=Event.FACT_NOTED, changes=changes)
            exposed = exposed_by is not None and not clears
            lawful = not (exposed and target in UNEXPOSED) and (number or target not in NUMBERED)
            if lawful:
                assert move_one(before, lambda _, step=step: step, actor="test", dry_run=True).state == target
            else:
                with pytest.raises(WrongState):
                    move_one(before, lambda _, step=step: step, actor="test", dry_run=True)


def test_an_invoice_that_leaves_failed_takes_no_failure_along() -> None:
    failure = {"failure": "refused", "failure_code": "c", "failure_field": "buyer.name", "failure_message": "m"}
    for source, target in PICTURE:
        if source == S.FAILED:
            before = row(source, number="7", **failure)
            after = move_one(before, lambda _, to=target: Step(to=to, event=Event.REPLAYED), actor="t", dry_run=True)
            assert [getattr(after, name) for name in failure] == [""] * 4, target
