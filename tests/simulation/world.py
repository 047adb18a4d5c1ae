"""One seed: a clock, dice, merchants, workers, a provider, and the step that lets one of them act."""

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from config.base import clock
from invoices.issuing.calls import Call
from merchants.models import Merchant, TaxInfo
from tests import cast
from tests.simulation import invariants
from tests.simulation.dice import Dice
from tests.simulation.interleave import Interleaver, Operation
from tests.simulation.network import Network, Worker
from tests.simulation.vendor import Vendor

_tax_codes = itertools.count(1)
_runs = itertools.count(1)
STARTS = [
    (5, datetime(2026, 7, 15, 3, 0, tzinfo=UTC)),  # 10:00 in Việt Nam
    (2, datetime(2026, 7, 15, 14, 40, tzinfo=UTC)),  # 21:40: the claim windows end soon
    (3, datetime(2026, 7, 15, 16, 45, tzinfo=UTC)),  # 23:45: so does the day
]


class InvariantBroken(AssertionError):
    """An invariant does not hold. `story` tells how it came to that."""

    def __init__(self, seed: int, personality: str, what: str, story: list[str]) -> None:
        super().__init__(f"{personality} seed {seed}: {what}")
        self.seed, self.personality, self.what, self.story = seed, personality, what, story


class World:
    def __init__(self, seed: int, personality: str, interleaver: Interleaver) -> None:
        self.seed, self.personality = seed, personality
        self.dice = Dice(f"{personality} {seed}")
        random.seed(seed)  # the product's jitter
        self.interleaver = interleaver
        self.start = self.dice.pick(STARTS)
        self.mono = 0.0  # seconds that passed
        self.skew = timedelta()  # our clock is ahead by this much, or behind
        self.calm = False
        self.story: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = itertools.count()
        self.vendor = Vendor(personality, self.dice)
        self.wire = Network(self)
        self.workers = [Worker("worker 1"), Worker("worker 2"), Worker("worker 3")]
        self.bells: set[int] = set()
        self.run = f"{next(_runs)}-{seed}"
        self.codes = [f"merchant-{at}-{self.run}" for at in range(self.dice.count(1, 2))]
        self.merchants: dict[str, Merchant] = {}
        self.rows: list[Any] = []  # our books after the last act
        self.sales: list[dict[str, Any]] = []  # the payments that were told
        self.skipped: set[int] = set()
        self.untold: list[Operation] = []  # facts that were not answered: the platform sends them again
        self.to_sell = self.dice.count(2, 5)

    # --- time ---------------------------------------------------------------------------------------------------

    @property
    def true(self) -> datetime:
        return self.start + timedelta(seconds=self.mono)

    @property
    def now(self) -> datetime:
        return self.true + self.skew

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.mono + seconds, next(self._turn), what))

    def advance(self, seconds: float) -> None:
        """Let time pass; what falls due on the way happens at its moment."""
        until = self.mono + seconds
        while self._events and self._events[0][0] <= until:
            at, _, what = heapq.heappop(self._events)
            self.mono = max(self.mono, at)
            self.commit_late()
            what()
        self.mono = until
        self.commit_late()

    def commit_late(self) -> None:
        for reference in self.vendor.commit_due(self.true):
            self.tell(f"    the provider commits late: {self.vendor_view(reference)}")

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    # --- acting -------------------------------------------------------------------------------------------------

    def act(self, *acts: Operation) -> None:
        """One act, or several at once, statement by statement; then the invariants."""
        with clock.frozen(self.now):
            if len(acts) == 1:
                acts[0].run()
            else:
                self.tell(f"at once: {', '.join(act.name for act in acts)}")
                self.interleaver.run(list(acts), self.dice)
        self.rows = invariants.rows(self)
        for act in acts:
            self._ended(act)
        self.check()

    def _ended(self, act: Operation) -> None:
        if act.crashed:
            self.tell(f"{act.name}: crashed before its statement {act.statements}")
            if act.worker:
                act.worker.die()
            if act.told_again:
                self.untold.append(Operation(act.name, act.work, told_again=True))
        elif act.error:
            raise act.error
        else:
            self.tell(f"{act.name}: {self.told(act.result)}")
            for call in act.result if isinstance(act.result, list) else ():
                self.wire.start(call, act.worker)

    def check(self) -> None:
        if broken := invariants.after_a_step(self):
            raise InvariantBroken(self.seed, self.personality, broken, self.story)

    # --- the story ----------------------------------------------------------------------------------------------

    def tell(self, line: str) -> None:
        skewed = f" (our clock is {self.skew.total_seconds():+.0f} s)" if self.skew else ""
        self.story.append(f"{self.now.astimezone(clock.VIETNAM):%d %H:%M:%S}{skewed} {line}")

    def told(self, result: Any) -> str:
        if isinstance(result, list):
            return ", ".join(self.name(call) for call in result) or "nothing"
        return str(result)

    def name(self, call: Call) -> str:
        order = next((o for r, o in self.references().items() if r == call.reference), call.reference)
        return f"{'send' if call.is_send else 'ask'} {order}"

    def references(self) -> dict[str, str]:
        return {str(row.reference): row.order_id for row in self.rows}

    def vendor_view(self, reference: str) -> str:
        numbers = [f"{p.number}{' rejected' if p.rejected else ''}" for p in self.vendor.known(reference)]
        waiting = sum(p.reference == reference for p in self.vendor.pending)
        return f"{reference[:8]} has {numbers or 'no number'}" + (f", {waiting} to come" if waiting else "")

    # --- the cast -----------------------------------------------------------------------------------------------

    def arrive(self, code: str) -> str:
        """A merchant becomes known, with tax data and an account."""
        merchant = Merchant.objects.create(
            code=code,
            name="Cà phê Sương Mai",
            claim_window=self.dice.pick([(3, 0), (1, 120), (1, 5)]),
            unclaimed=self.dice.pick([(3, Merchant.Unclaimed.CONSUMER), (1, Merchant.Unclaimed.LAPSE)]),
        )
        TaxInfo.objects.create(
            merchant=merchant,
            tax_code=cast.tax_code_of(next(_tax_codes)),
            legal_name="Công ty Cổ phần Sương Mai",
            address="1 Phan Chu Trinh",
            method=TaxInfo.Method.DEDUCTION,
        )
        cast.account(merchant, in_flight=self.dice.one([1, 1, 2, 3, None]))
        self.merchants[code] = merchant
        return "with an account"
