"""What can go wrong, drawn by dice or ordered by a header."""

import random
from dataclasses import dataclass
from typing import Any

CREATE, SEARCH, FILE, LIST, LOGIN, TEMPLATES = "create", "search", "file", "list", "login", "templates"
EVERY = {CREATE, SEARCH, FILE, LIST, LOGIN, TEMPLATES}

MODES: dict[str, set[str]] = {
    "issue-then-drop": {CREATE},  # issued, and the connection is cut
    "drop-before": {CREATE, SEARCH, FILE, LOGIN},  # nothing done, and the connection is cut
    "timeout-before": {CREATE},  # nothing done, and no answer
    "hang": EVERY,  # done, `seconds` late
    "5xx-after-issue": {CREATE},
    "5xx-before": EVERY,
    "429": EVERY,
    "being-processed": {CREATE},  # says so, and issues `seconds` later
    "commit-late": {CREATE},  # a 5xx or a cut, and issues `seconds` later
    "forget-key": {CREATE},  # takes a known key for a new one
    "duplicate-key": {CREATE},  # issued, and answered as if the key were known
    "code-delayed": {CREATE},  # the tax authority's code comes `seconds` later
    "cqt-rejected": {CREATE},  # the tax authority refuses, `seconds` later
    "date-before-last": {CREATE},
    "number-conflict": {CREATE},
    "out-of-quota": {CREATE},
    "cert-expired": {CREATE},
    "invalid-buyer-tax-code": {CREATE},
    "token-expired": EVERY - {LOGIN},
    "ip-blocked-500": EVERY,
    "bad-body": {CREATE, SEARCH, FILE},  # done, and the answer is half a JSON text or a proxy's page
    "file-not-ready": {FILE},
    "lookup-lag": {SEARCH},  # an invoice younger than `seconds` is not found
    "lookup-error": {SEARCH},
}


@dataclass(slots=True)
class Fault:
    mode: str
    seconds: float | None = None  # None: most of the simulator's settle time


@dataclass(slots=True)
class Rule:
    mode: str
    probability: float = 1.0
    tenant: str | None = None  # tax code; None: everybody
    count: int | None = None  # how often at most
    seconds: float | None = None
    endpoint: str | None = None  # narrower than the mode's own
    drawn: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"no such fault: {self.mode}")
        if self.endpoint is not None and self.endpoint not in MODES[self.mode]:
            raise ValueError(f"{self.mode} does not happen at {self.endpoint}")


class Faults:
    def __init__(self, seed: int | None = None) -> None:
        self.rules: list[Rule] = []
        self.dice = random.Random(seed)  # noqa: S311 (dice, not secrets)

    def add(self, told: dict[str, Any]) -> None:
        """{mode, probability?, tenant?, count?, seconds?, endpoint?}; ValueError or TypeError: nonsense."""
        self.rules.append(Rule(**told))

    def draw(self, endpoint: str, tenant: str | None, header: str | None) -> Fault | None:
        """The first rule that applies and wins its throw. A header "mode" or "mode; seconds=3" comes before all."""
        if header:
            mode, _, seconds = header.partition("; seconds=")
            if endpoint in MODES.get(mode, ()):
                return Fault(mode, float(seconds) if seconds else None)
        for rule in self.rules:
            if endpoint not in ((rule.endpoint,) if rule.endpoint else MODES[rule.mode]):
                continue
            if rule.tenant not in (None, tenant) or (rule.count is not None and rule.drawn >= rule.count):
                continue
            if rule.probability >= 1 or self.dice.random() < rule.probability:
                rule.drawn += 1
                return Fault(rule.mode, rule.seconds)
        return None
