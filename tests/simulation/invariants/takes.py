"""What may be taken. A trigger notes each take under the take's own locks; these checks read its notes."""

from collections import namedtuple
from typing import TYPE_CHECKING

from django.db import connection

from invoices.lifecycle import OWED, State
from tests.simulation.invariants.rows import Row
from tests.simulation.world.vendor import LIMITS

if TYPE_CHECKING:
    from tests.simulation.world.world import World

Take = namedtuple(
    "Take",
    "seq invoice_id account_id at not_before issue_until issue_date "
    "inactive deleted paused parked_until parked_for_login others_sending",
)

CREATE = """
CREATE UNLOGGED TABLE IF NOT EXISTS simulation_take (
    seq bigserial, invoice_id bigint, account_id bigint, at timestamptz, not_before timestamptz,
    issue_until timestamptz, issue_date date, inactive bool, deleted bool, paused bool, parked_until timestamptz,
    parked_for_login bool, others_sending bigint);
CREATE OR REPLACE FUNCTION simulation_note_take() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO simulation_take SELECT nextval('simulation_take_seq_seq'), NEW.id, a.id, NEW.exposed_at,
        OLD.not_before, OLD.issue_until, NEW.issue_date, NOT a.is_active, a.deleted_at IS NOT NULL, a.paused,
        a.parked_until, a.parked_for_login,
        (SELECT count(*) FROM invoices_invoice i
         WHERE i.state = 'SENDING' AND i.account_id = a.id AND i.id <> NEW.id)
    FROM merchants_provideraccount a WHERE a.id = NEW.account_id;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER simulation_take BEFORE UPDATE ON invoices_invoice FOR EACH ROW
WHEN (NEW.state = 'SENDING' AND OLD.state <> 'SENDING') EXECUTE FUNCTION simulation_note_take();
"""
DROP = "DROP FUNCTION IF EXISTS simulation_note_take CASCADE; DROP TABLE IF EXISTS simulation_take"


def note_takes() -> None:
    """Add the trigger to the database."""
    with connection.cursor() as cursor:
        cursor.execute(CREATE)


def stop_noting_takes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(DROP)


def read_takes() -> list[Take]:
    """Those since the last reading, in their order."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM simulation_take RETURNING *")
        return sorted(Take(*row) for row in cursor.fetchall())


def take_violation(world: "World", before: dict[int, Row], *, resumed: bool) -> str:
    """`before`: the rows by their ids before the step. `resumed`: the step may have opened what was closed."""
    after = {row.id: row for row in world.rows}
    for take in read_takes():
        problem = next((problem for check in CHECKS if (problem := check(take))), "")
        problem = problem or _goes_backwards(world, take)
        if not resumed and take.invoice_id in before:
            problem = problem or _its_sender_was_paused(before[take.invoice_id], after[take.invoice_id])
        if problem:
            return f"{after[take.invoice_id].order_id} was taken {problem}"
    return ""


def _too_early(take: Take) -> str:
    """Nothing is sent before `not_before`."""
    return f"before {take.not_before}" if take.at < take.not_before else ""


def _too_late(take: Take) -> str:
    """Nothing is sent after its issue limit."""
    return f"after its issue limit {take.issue_until}" if take.at >= take.issue_until else ""


def _its_account_is_closed(take: Take) -> str:
    """An account that is inactive, deleted or paused sends nothing."""
    closed = [name for name in ("inactive", "deleted", "paused") if getattr(take, name)]
    return f"although its account was {closed[0]}" if closed else ""


def _its_account_is_parked(take: Take) -> str:
    """A parked account sends nothing until its time is over; then one trial, unless a probe must open it."""
    if take.parked_until is None:
        return ""
    if take.at < take.parked_until or take.parked_for_login:
        return "although its account was parked"
    return "beside the trial of its parked account" if take.others_sending else ""


CHECKS = (_too_early, _too_late, _its_account_is_closed, _its_account_is_parked)


def _goes_backwards(world: "World", take: Take) -> str:
    """An account never sends an earlier day after a later one."""
    last = world.last_dates.setdefault(take.account_id, take.issue_date)
    world.last_dates[take.account_id] = max(last, take.issue_date)
    return f"with {take.issue_date}; its account had sent {last}" if take.issue_date < last else ""


def _its_sender_was_paused(before: Row, after: Row) -> str:
    """Nothing is sent while its merchant or its partition is paused.

    A take does not lock these: they count if they were paused before its step and after it.
    """
    if before.merchant_paused and after.merchant_paused:
        return "although its merchant was paused"
    return "although its partition was paused" if before.partition_paused and after.partition_paused else ""


def left_behind(world: "World", partition: int) -> str:
    """After a take that nothing disturbed, no account has both a free slot and an invoice there that may be sent."""
    for row in world.rows:
        if row.partition == partition and may_be_sent(world, row):
            of_account = [other for other in world.rows if other.account_id == row.account_id]
            oldest = min(other.issue_date for other in of_account if other.state in OWED)
            sending = sum(other.state == State.SENDING for other in of_account)
            slots = 1 if row.parked_until else row.in_flight or LIMITS.in_flight
            if row.issue_date == oldest and sending < slots:
                return f"{row.order_id} was not taken, although it is due and its account has a free slot"
    return ""


def may_be_sent(world: "World", row: Row) -> bool:
    """It is due, and nothing is closed. Others of its account may come first."""
    parked = row.parked_until and (row.parked_until > world.now or row.parked_for_login)
    closed = row.account_closed or parked or row.merchant_paused or row.partition_paused
    return row.state == State.QUEUED and row.not_before <= world.now < row.issue_until and not closed
