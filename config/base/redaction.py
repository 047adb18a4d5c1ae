"""The keys that may be written to the log. All other keys are omitted.

Free text is scrubbed of everything that may be personal data or a secret. Messages of exceptions are never written,
because psycopg quotes rows in them and aiohttp requests. Class, stack and constraint are written.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import TracebackType

HIDDEN = "•"
ROOT = f"{Path(__file__).resolve().parent.parent.parent}/"
FRAMES = 16  # of a stack: the innermost ones

WORD = re.compile(r"[\w.:/<>+,-]{0,80}", re.ASCII)
CLASS = re.compile(r"(?!.{32})_?(?:[A-Z]{1,5}[a-z]+)+")  # CamelCase, and shorter than any token of ours
SUSPECT = re.compile(
    r"""\b\w+://\S+                                                # URLs carry logins and tokens
    | [\w.+-]+@[\w.-]+                                             # e-mail
    | (?:whsec_|eyJ)\S* | \bBearer\s+\S+
    | (?i:pass|secret|token|key|auth|cookie)\w*["']?\s*[=:]\s*\S+
    | (?<![\w-])                                                   # long strings that are not a CODE_OF_WORDS
      (?!(?:[A-Z]{2,15}_)+[A-Z]{2,15}(?![\w-])|(?:[a-z]{2,15}_)+[a-z]{2,15}(?![\w-]))[\w-]{20,}
    | \+?\d(?:[ .-]?\d){5,}                                        # phones, tax codes, personal ids
    | "[^"]*" | '[^']*' | “[^”]*”
    | \S*[^\x00-\x7f]\S*                                           # Vietnamese names; our own words are ASCII
    """,
    re.VERBOSE,
)


def number(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, int) else HIDDEN


def key(value: object) -> str:
    """An id of the platform, of Kafka or of ours, unchanged: operators search the log for it."""
    return str(value)[:120]


def word(value: object) -> str:
    return _word(str(value))


@lru_cache(2048)  # few different words, each logged very often
def _word(text: str) -> str:
    return text if WORD.fullmatch(text) and not SUSPECT.search(text) else HIDDEN


def class_name(value: object) -> str:
    text = str(value)
    return text if CLASS.fullmatch(text) else HIDDEN


def words(value: object) -> str:
    return scrub(str(value))[:200]


KEYS: dict[str, Callable[[object], object]] = {
    # the order, and the work that the line belongs to
    "order": key, "invoice": key, "merchant": key, "partition": number, "trace": key, "request": key, "task": word,
    # a row
    "account": key, "delivery": key, "endpoint": key, "webhook": key, "payment": key, "source": key,
    # what was done, and its result
    "state": word, "came_from": word, "actor": word, "attempt": number, "delay": number,
    "outcome": word, "code": word, "reason": word, "error": class_name, "number": key, "kind": word, "type": word,
    "op": word, "login": number, "edited": number, "count": number, "seconds": number, "since": key,
    "digest": key, "until": key, "invoices": number, "rows": number, "broken": number, "seq": number, "changed": words,
    "day": key, "ours": number, "theirs": number, "accounts": number, "why": words,
    # the place
    "provider": word, "route": word, "method": word, "status": number, "facility": word, "at": word,
    "name_fingerprint": word, "address_fingerprint": word,
}  # fmt: skip


@lru_cache(2048)  # few different templates, each logged very often
def scrub(text: str) -> str:
    return SUSPECT.sub(HIDDEN, text)


def format_argument(value: object) -> object:
    """A library's log argument: only small numbers and classes of exceptions are shown."""
    if isinstance(value, BaseException):
        return type(value).__name__
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**6):
        return value
    return HIDDEN


def describe_error(error: BaseException) -> dict[str, object]:
    """An exception's class, cause, SQLSTATE, constraint and stack, without its message."""
    keys: dict[str, object] = {"error": type(error).__name__}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        keys["cause"] = type(cause).__name__
    for exception in filter(None, (error, cause)):
        if state := getattr(exception, "sqlstate", None):
            keys |= {"sqlstate": state}
            if constraint := getattr(getattr(exception, "diag", None), "constraint_name", None):
                keys["constraint"] = constraint
    keys["stack"] = _stack(error.__traceback__)
    return keys


def _stack(at: TracebackType | None) -> str:
    frames = []
    while at is not None:
        code = at.tb_frame.f_code
        file = code.co_filename.removeprefix(ROOT).rpartition("site-packages/")[2]
        frames.append(f"{file}:{at.tb_lineno} {code.co_name}")
        at = at.tb_next
    return " > ".join(frames[-FRAMES:])
