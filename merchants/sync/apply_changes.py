"""Apply changes of merchants to Merchant and TaxInfo. Kafka, webhooks and operators all use this module.

It writes the difference from our own data, regardless of the envelope's `before`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from structlog.stdlib import get_logger

from merchants.models import MerchantChange
from merchants.sync.envelopes import Change, Position, Unreadable, decode_json, read_envelope
from merchants.sync.locked_merchants import LockedMerchants
from merchants.sync.messages import Message, Poison

log = get_logger(__name__)


class Outcome(StrEnum):
    STORED = "stored"
    UNCHANGED = "unchanged"
    STALE = "stale"  # a newer change was applied before
    IGNORED = "ignored"  # a tombstone, a heartbeat


def apply_envelope(envelope: Any, *, source: str, key: bytes | None = None) -> Outcome:
    """Apply one envelope in one transaction. `source` becomes the history's reason. Raises Unreadable."""
    change = read_envelope(envelope, key)
    if change is None:
        return Outcome.IGNORED
    with transaction.atomic():
        merchants = LockedMerchants([change.code])
        outcome = _apply(merchants, change, source)
        merchants.flush()
    return outcome


def resync(code: str, *, source: str) -> Outcome:
    """Apply the latest change of a merchant again. Raises MerchantChange.DoesNotExist."""
    with transaction.atomic():
        MerchantChange.objects.get(code=code, ts_ms__isnull=False)
        merchants = LockedMerchants([code])
        last = merchants.last_changes[code]
        change = Change(last.op, code, last.row, Position(last.lsn, last.ts_ms))
        outcome = Outcome.STORED if merchants.apply_difference(change, source) else Outcome.UNCHANGED
        merchants.flush()
    return outcome


def apply_batch(messages: Sequence[Message]) -> list[Poison]:
    """Apply a batch from Kafka in one transaction. Returns the messages that cannot be applied."""
    changes: list[tuple[Message, Change]] = []
    poison: list[Poison] = []
    for message in messages:
        try:
            if change := read_envelope(decode_json(message.value), message.key):
                changes.append((message, change))
        except Unreadable as error:
            poison.append(Poison(message, str(error)))
    with transaction.atomic():
        merchants = LockedMerchants(change.code for _, change in changes)
        try:
            with transaction.atomic():
                for message, change in changes:
                    _apply(merchants, change, message.source)
                merchants.flush()
        except (OperationalError, InterfaceError):
            raise  # the database is going away: no message is to blame
        except Exception:  # noqa: BLE001  (one change is poison, or the same merchant was created meanwhile)
            poison += _apply_one_by_one(changes)
    return poison


def _apply_one_by_one(changes: list[tuple[Message, Change]]) -> list[Poison]:
    poison = []
    for message, change in changes:
        try:
            with transaction.atomic():
                merchants = LockedMerchants([change.code])
                _apply(merchants, change, message.source)
                merchants.flush()
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  (its traceback could quote the data)
            log.error("[handleMerchantCDC]", source=message.source, error=type(error).__name__)
            poison.append(Poison(message, type(error).__name__))
    return poison


def _apply(merchants: LockedMerchants, change: Change, source: str) -> Outcome:
    """Apply a change unless a newer one was applied before."""
    last = merchants.last_changes[change.code]
    if not change.position.after(Position(last.lsn, last.ts_ms)):
        log.info("[handleMerchantCDC] op=%(op)s older than the last change, SKIP", op=change.op, merchant=change.code)
        return Outcome.STALE
    is_different = merchants.apply_difference(change, source)
    merchants.note_change(change)
    return Outcome.STORED if is_different else Outcome.UNCHANGED
