"""Takes of what may not be sent, or not now; and takes that leave behind what may."""

from tests.simulation.breaks.edits import Edit

LOCK, PICK = "invoices.issuing.take:LOCK_ACCOUNTS", "invoices.issuing.take:PICK_INVOICES"
LOCKED_AGAIN = """WHERE a.id IN (SELECT id FROM chosen)
  AND a.is_active AND NOT a.paused AND a.deleted_at IS NULL
  AND (a.parked_until IS NULL OR (a.parked_until <= %(now)s AND NOT a.parked_for_login))"""
OPEN_DAYS = "('WAITING', 'QUEUED', 'SENDING', 'UNCERTAIN')"


def everywhere(old: str, new: str = "") -> tuple[Edit, ...]:
    """In both statements."""
    return Edit(LOCK, old, new), Edit(PICK, old, new)


TAKES: dict[str, tuple[Edit, ...]] = {
    "sends after the issue limit": everywhere(" AND issue_until > %(now)s"),
    "picks what is past its issue limit": (Edit(PICK, " AND issue_until > %(now)s", ""),),
    "sends before not_before": everywhere(" AND not_before <= %(now)s"),
    "an inactive account sends": (Edit(LOCK, "a.is_active AND ", ""),),
    "a paused account sends": (Edit(LOCK, " AND NOT a.paused", ""),),
    "a deleted account sends": (Edit(LOCK, " AND a.deleted_at IS NULL", ""),),
    "an account that closes while its lock is awaited sends": (
        Edit(LOCK, LOCKED_AGAIN, "WHERE a.id IN (SELECT id FROM chosen)"),
    ),
    "an account that is parked for its login sends": (Edit(LOCK, " AND NOT a.parked_for_login", ""),),
    "a parked account sends": (Edit(LOCK, "(a.parked_until <= %(now)s AND NOT a.parked_for_login)", "true"),),
    "a parked account has more than one trial": (Edit(LOCK, "ELSE 1 END", "ELSE 30 END"),),
    "a paused merchant sends": (Edit(LOCK, "AND NOT m.paused", ""),),
    "another partition's worker sends for a paused one": everywhere("AND partition <> ALL(%(paused)s)"),
    "UNCERTAIN takes a slot": everywhere("state = 'SENDING' AND", "state IN ('SENDING', 'UNCERTAIN') AND"),
    "WAITING does not hold its day open": everywhere(OPEN_DAYS, "('QUEUED', 'SENDING', 'UNCERTAIN')"),
    "SENDING does not hold its day open": everywhere(OPEN_DAYS, "('WAITING', 'QUEUED', 'UNCERTAIN')"),
    "UNCERTAIN does not hold its day open": everywhere(OPEN_DAYS, "('WAITING', 'QUEUED', 'SENDING')"),
    "the last day that was sent is forgotten": (
        Edit("invoices.issuing.take:_save_last_issue_dates", "if ids:", "if 0:"),
    ),
}
