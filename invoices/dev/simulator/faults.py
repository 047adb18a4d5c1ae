"""The faults of the simulated vendor: drawn by dice, or ordered by a request's header."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Endpoint(StrEnum):
    CREATE = "create"
    SEARCH = "search"
    FILE = "file"
    LIST = "list"
    LOGIN = "login"
    TEMPLATES = "templates"


class Mode(StrEnum):
    """`seconds` is the fault's own delay. The values are part of the admin API."""

    ISSUE_THEN_DROP = "issue-then-drop"  # issues, then cuts the connection
    DROP_BEFORE = "drop-before"  # does nothing and cuts the connection
    TIMEOUT_BEFORE = "timeout-before"  # does nothing and never answers
    HANG = "hang"  # does the work and answers `seconds` late
    ERROR_AFTER_ISSUE = "5xx-after-issue"
    ERROR_BEFORE = "5xx-before"
    TOO_MANY_REQUESTS = "429"
    BEING_PROCESSED = "being-processed"  # answers so, and issues `seconds` later
    COMMIT_LATE = "commit-late"  # answers 5xx or cuts the connection, and issues `seconds` later
    FORGET_KEY = "forget-key"  # treats a known key as a new one
    DUPLICATE_KEY = "duplicate-key"  # issues, and answers that the reference is known
    CODE_DELAYED = "code-delayed"  # the tax authority's code comes `seconds` later
    REJECTED_BY_TAX_AUTHORITY = "cqt-rejected"  # the tax authority rejects it `seconds` later
    DATE_BEFORE_LAST = "date-before-last"
    NUMBER_CONFLICT = "number-conflict"
    OUT_OF_QUOTA = "out-of-quota"
    CERTIFICATE_EXPIRED = "cert-expired"
    INVALID_BUYER_TAX_CODE = "invalid-buyer-tax-code"
    TOKEN_EXPIRED = "token-expired"  # noqa: S105
    IP_BLOCKED = "ip-blocked-500"
    BAD_BODY = "bad-body"  # does the work, and answers with half a JSON text or a proxy's page
    FILE_NOT_READY = "file-not-ready"
    LOOKUP_LAG = "lookup-lag"  # does not find an invoice younger than `seconds`
    LOOKUP_ERROR = "lookup-error"


EVERY = set(Endpoint)
ENDPOINTS: dict[Mode, set[Endpoint]] = {mode: {Endpoint.CREATE} for mode in Mode} | {
    Mode.DROP_BEFORE: {Endpoint.CREATE, Endpoint.SEARCH, Endpoint.FILE, Endpoint.LOGIN},
    Mode.HANG: EVERY,
    Mode.ERROR_BEFORE: EVERY,
    Mode.TOO_MANY_REQUESTS: EVERY,
    Mode.TOKEN_EXPIRED: EVERY - {Endpoint.LOGIN},
    Mode.IP_BLOCKED: EVERY,
    Mode.BAD_BODY: {Endpoint.CREATE, Endpoint.SEARCH, Endpoint.FILE},
    Mode.FILE_NOT_READY: {Endpoint.FILE},
    Mode.LOOKUP_LAG: {Endpoint.SEARCH},
    Mode.LOOKUP_ERROR: {Endpoint.SEARCH},
}


@dataclass(slots=True)
class Fault:
    mode: Mode
    seconds: float | None = None  # None: most of the simulator's settle time


@dataclass(slots=True)
class Rule:
    mode: Mode
    probability: float = 1.0
    tenant: str | None = None  # tax code; None: all tenants
    count: int | None = None  # how often at most
    seconds: float | None = None
    endpoint: str | None = None  # one of the mode's endpoints; None: all of them
    drawn: int = 0

    def __post_init__(self) -> None:
        self.mode = Mode(self.mode)
        if self.endpoint is not None and self.endpoint not in ENDPOINTS[self.mode]:
            raise ValueError(f"{self.mode} does not happen at {self.endpoint}")


class Faults:
    def __init__(self, seed: int | None = None) -> None:
        self.rules: list[Rule] = []
        self.dice = random.Random(seed)  # noqa: S311 (dice, not secrets)

    def add_rule(self, fields: dict[str, Any]) -> None:
        """{mode, probability?, tenant?, count?, seconds?, endpoint?}. Raises ValueError or TypeError."""
        self.rules.append(Rule(**fields))

    def draw(self, endpoint: Endpoint, tenant: str | None, header: str | None) -> Fault | None:
        """The first rule that applies and wins its throw. A header "mode" or "mode; seconds=3" takes precedence."""
        if header:
            mode, _, seconds = header.partition("; seconds=")
            if mode in set(Mode) and endpoint in ENDPOINTS[Mode(mode)]:
                return Fault(Mode(mode), float(seconds) if seconds else None)
        for rule in self.rules:
            if endpoint not in ((rule.endpoint,) if rule.endpoint else ENDPOINTS[rule.mode]):
                continue
            if rule.tenant not in (None, tenant) or (rule.count is not None and rule.drawn >= rule.count):
                continue
            if rule.probability >= 1 or self.dice.random() < rule.probability:
                rule.drawn += 1
                return Fault(rule.mode, rule.seconds)
        return None
