"""What may be written into the log: a list, not a hunt. A key that is not on it is left out, whoever wrote it.

Words of free text can hold anything, so they keep only what cannot be a person or a secret. An exception's message
is never written: psycopg quotes rows in it, aiohttp requests. Its class, its place and the constraint are enough.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import TracebackType

HIDDEN = "•"
ROOT = f"{Path(__file__).resolve().parent.parent.parent}/"
FRAMES = 16  # the innermost ones

WORD = re.compile(r"[\w.:/<>+,-]{0,80}", re.ASCII)
CLASS = re.compile(r"(?!.{32})_?(?:[A-Z]{1,5}[a-z]+)+")  # shorter than any token of ours, and in humps
SUSPECT = re.compile(
    r"""\b\w+://\S+                                                # addresses carry logins and tokens
    | [\w.+-]+@[\w.-]+                                             # e-mail
    | (?:whsec_|eyJ)\S* | \bBearer\s+\S+
    | (?i:pass|secret|token|key|auth|cookie)\w*["']?\s*[=:]\s*\S+
    | (?<![\w-])                                                   # whatever is long and no CODE_OF_WORDS
      (?!(?:[A-Z]{2,15}_)+[A-Z]{2,15}(?![\w-])|(?:[a-z]{2,15}_)+[a-z]{2,15}(?![\w-]))[\w-]{20,}
    | \+?\d(?:[ .-]?\d){5,}                                        # phones, tax codes, personal ids
    | "[^"]*" | '[^']*' | “[^”]*”
    | \S*[^\x00-\x7f]\S*                                           # every second Vietnamese name, and no word of ours
    """,
    re.VERBOSE,
)


def number(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, int) else HIDDEN


def key(value: object) -> str:
    """An id that the platform, Kafka or we gave: written whole, for it is what people search for."""
    return str(value)[:120]


def word(value: object) -> str:
    return _word(str(value))


@lru_cache(2048)  # there are few words, and each is written a million times
def _word(text: str) -> str:
    return text if WORD.fullmatch(text) and not SUSPECT.search(text) else HIDDEN


def class_name(value: object) -> str:
    text = str(value)
    return text if CLASS.fullmatch(text) else HIDDEN


def words(value: object) -> str:
    return scrubbed(str(value))[:200]


KEYS: dict[str, Callable[[object], object]] = {
    # which order, and whose work it is part of
    "order": key, "invoice": key, "merchant": key, "partition": number, "trace": key, "request": key, "task": word,
    # which row of ours
    "account": key, "delivery": key, "endpoint": key, "webhook": key, "payment": key, "source": key,
    # what was done, and how it went
    "act": word, "state": word, "came_from": word, "actor": word, "attempt": number, "delay": number,
    "outcome": word, "code": word, "reason": word, "error": class_name, "number": key, "kind": word, "type": word,
    "op": word, "login": number, "edited": number, "count": number, "seconds": number, "since": key,
    "digest": key, "until": key, "invoices": number, "rows": number, "broken": number, "seq": number, "what": words,
    "day": key, "ours": number, "theirs": number, "accounts": number, "tries": number, "told": words, "why": words,
    # by whom, and at which door
    "provider": word, "route": word, "method": word, "status": number, "name_fingerprint": word, "address_fingerprint": word,
    "facility": word, "at": word,
}  # fmt: skip


@lru_cache(2048)  # a template is written a million times
def scrubbed(text: str) -> str:
    return SUSPECT.sub(HIDDEN, text)


def argument(value: object) -> object:
    """What a stranger wants to put into their sentence: small numbers and kinds of errors, nothing else."""
    if isinstance(value, BaseException):
        return type(value).__name__
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**6):
        return value
    return HIDDEN


def told_of(error: BaseException) -> dict[str, object]:
    """What went wrong and where, without a word of what it was said about."""
    told: dict[str, object] = {"error": type(error).__name__}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        told["cause"] = type(cause).__name__
    for one in filter(None, (error, cause)):
        if state := getattr(one, "sqlstate", None):
            told |= {"sqlstate": state}
            if constraint := getattr(getattr(one, "diag", None), "constraint_name", None):
                told["constraint"] = constraint
    told["stack"] = _stack(error.__traceback__)
    return told


def _stack(at: TracebackType | None) -> str:
    frames = []
    while at is not None:
        code = at.tb_frame.f_code
        file = code.co_filename.removeprefix(ROOT).rpartition("site-packages/")[2]
        frames.append(f"{file}:{at.tb_lineno} {code.co_name}")
        at = at.tb_next
    return " > ".join(frames[-FRAMES:])
