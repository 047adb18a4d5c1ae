"""Read Debezium's envelope, in all its shapes, as one change of one merchant. Uses no database."""

import json
import re
from dataclasses import dataclass
from typing import Any

UNAVAILABLE = "__debezium_unavailable_value"  # a large column that the change did not touch
OPS = ("c", "u", "r", "d")  # create, update, snapshot, delete
MAX_BIGINT = 2**63 - 1
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unreadable(ValueError):
    """Not a change of a merchant. `field` names the field, the message the problem. Neither quotes the data."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field, self.message = field, message


@dataclass(frozen=True, slots=True)
class Position:
    """A position in the source's log. `ts_ms`: milliseconds since 1970, by the source's clock."""

    lsn: int | None
    ts_ms: int | None

    def after(self, other: "Position") -> bool:
        """Later than the other: by the log if both have an lsn, else by the clock. Anything is later than nothing."""
        if self.lsn is not None and other.lsn is not None and self.lsn != other.lsn:
            return self.lsn > other.lsn
        return other.ts_ms is None or (self.ts_ms is not None and self.ts_ms > other.ts_ms)


@dataclass(frozen=True, slots=True)
class Change:
    op: str
    code: str
    row: dict[str, Any]  # empty for a delete
    position: Position


def decode_json(value: bytes | None) -> Any:
    """A message's value or key as JSON; None stays None. Raises Unreadable."""
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        raise Unreadable("", "This is not JSON.") from None
    except RecursionError:
        raise Unreadable("", "This is nested too deeply.") from None


def read_envelope(envelope: Any, key: bytes | None = None) -> Change | None:
    """The change; None for a tombstone or a heartbeat. Raises Unreadable.

    The message's key is used only if a delete comes without its `before`.
    """
    envelope = _unwrapped(envelope)
    if envelope is None:
        return None
    if not isinstance(envelope, dict):
        raise Unreadable("", "An envelope is an object.")
    if "ts_ms" in envelope and set(envelope) <= {"ts_ms", "ts_us", "ts_ns"}:
        return None  # a heartbeat
    op = envelope.get("op")
    if op == "t":
        raise Unreadable("op", "The source's table was truncated; this changes no merchant.")
    if not isinstance(op, str) or op not in OPS:
        raise Unreadable("op", f"The op must be one of {', '.join(OPS)}.")
    row = envelope.get("before" if op == "d" else "after")
    if op == "d":
        code = _code(row) if row else _code_in_key(key)
        return Change(op, code, {}, _position(envelope))
    if not isinstance(row, dict):
        raise Unreadable("after", "This must be the row, an object.")
    if _unstorable(row):
        raise Unreadable("after", "A text holds a character that cannot be stored.")
    return Change(op, _code(row), _with_metadata(row), _position(envelope))


def fill_unavailable(new: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The new row, with its unavailable values taken from the known one, or left out if that has none."""
    filled: dict[str, Any] = {}
    for name, value in new.items():
        old = known.get(name)
        if isinstance(value, dict):
            filled[name] = fill_unavailable(value, old if isinstance(old, dict) else {})
        elif value != UNAVAILABLE:
            filled[name] = value
        elif name in known:
            filled[name] = old
    return filled


def tax_of(row: dict[str, Any]) -> Any:
    metadata = row.get("metadata")
    return metadata.get("tax") if isinstance(metadata, dict) else None


def _unwrapped(envelope: Any) -> Any:
    """Without the schema that Debezium's JSON converter adds around it."""
    if isinstance(envelope, dict) and "payload" in envelope and "op" not in envelope:
        return envelope["payload"]
    return envelope


def _with_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """The row with `metadata` decoded: Debezium writes a jsonb column as text."""
    metadata = row.get("metadata")
    if isinstance(metadata, str) and metadata != UNAVAILABLE:
        try:
            decoded = json.loads(metadata)
        except (ValueError, RecursionError):
            raise Unreadable("after.metadata", "This is not JSON.") from None
        if _unstorable(decoded):
            raise Unreadable("after.metadata", "A text holds a character that cannot be stored.")
        return {**row, "metadata": decoded}
    return row


def _code(row: Any) -> str:
    number = row.get("id") if isinstance(row, dict) else None
    code = str(number) if isinstance(number, int) and not isinstance(number, bool) else number
    if not isinstance(code, str) or not 1 <= len(code) <= 64 or any(ord(c) < 32 for c in code) or _unstorable(code):
        raise Unreadable("id", "A merchant's id has 1 to 64 printable characters.")
    return code


def _code_in_key(key: bytes | None) -> str:
    if key is None:
        raise Unreadable("before", "A delete must name its merchant, in `before` or in the message's key.")
    value = _unwrapped(decode_json(key))
    return _code(value if isinstance(value, dict) else {"id": value})


def _position(envelope: dict[str, Any]) -> Position:
    source = envelope.get("source")
    source = source if isinstance(source, dict) else {}
    position = Position(_number(source.get("lsn")), _number(source.get("ts_ms")) or _number(envelope.get("ts_ms")))
    if position == Position(None, None):
        raise Unreadable("source", "This needs an lsn or a ts_ms: without both, changes cannot be put in order.")
    return position


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_BIGINT else None


def _unstorable(value: Any) -> bool:
    """Whether it holds a text that PostgreSQL refuses: with a NUL or half of a surrogate pair."""
    if isinstance(value, str):
        return bool(UNSTORABLE.search(value))
    if isinstance(value, dict):
        return any(_unstorable(k) or _unstorable(v) for k, v in value.items())
    return isinstance(value, list) and any(map(_unstorable, value))
