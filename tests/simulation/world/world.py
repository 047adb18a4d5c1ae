"""The state of one seed: clock, dice, merchants, workers, provider, network; and how operations run in it."""

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from config.base import clock
from invoices.issuing.calls import Call, FinishedCall
from merchants.models import Merchant, TaxInfo
from tests import cast
from tests.simulation.invariants import every_step, proofs, rows, takes
from tests.simulation.world.dice import Dice
from tests.simulation.world.interleave import Interleaver, Operation
from tests.simulation.world.network import Network, Worker
from tests.simulation.world.vendor import Vendor

_tax_codes = itertools.count(1)
_runs = itertools.count(1)
STARTS = [
    (5, datetime(2026, 7, 15, 3, 0, tzinfo=UTC)),  # 10:00 in Việt Nam
    (2, datetime(2026, 7, 15, 14, 40, tzinfo=UTC)),  # 21:40: the claim windows end soon
    (3, datetime(2026, 7, 15, 16, 45, tzinfo=UTC)),  # 23:45: the day ends soon
]


class InvariantBroken(AssertionError):
    """An invariant does not hold. `journal`: every step up to then."""

    def __init__(self, seed: int, personality: str, what: str, journal: list[str]) -> None:
        super().__init__(f"{personality} seed {seed}: {what}")
        self.seed, self.personality, self.what, self.journal = seed, personality, what, journal


class World:
    def __init__(self, seed: int, personality: str, interleaver: Interleaver) -> None:
        self.seed, self.personality = seed, personality
        self.dice = Dice(f"{personality} {seed}")
        random.seed(seed)  # the product's jitter
        self.interleaver = interleaver
        self.start = self.dice.pick(STARTS)
        self.elapsed = 0.0  # seconds since the start
        self.skew = timedelta()  # our clock minus the true time
        self.calm = False  # no more faults
        self.journal: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = itertools.count()
        self.vendor = Vendor(personality, self.dice)
        self.network = Network(self)
        self.workers = [Worker("worker 1"), Worker("worker 2"), Worker("worker 3")]
        self.wakeups: set[int] = set()
        self.run_id = f"{next(_runs)}-{seed}"
        self.merchant_codes = [f"merchant-{at}-{self.run_id}" for at in range(self.dice.count(1, 2))]
        self.merchants: dict[str, Merchant] = {}
        self.rows: list[Any] = []  # all invoices after the last operation
        self.sales: list[dict[str, Any]] = []  # the payments that were sent
        self.skipped: set[int] = set()
        self.unanswered: list[Operation] = []  # facts that got no response: the platform sends them again
        self.sales_left = self.dice.count(2, 5)
        self.stall_ahead = self.dice.maybe(0.7)  # a worker will stall with a send open
        self.attempts = proofs.Attempts()
        self.recorded: list[FinishedCall] = []  # answers, in the order of their recording
        self.reported: dict[int, set[tuple[str, str]]] = defaultdict(set)  # symbol and number, by invoice
        self.last_dates: dict[int, date] = {}  # the latest day that each account has sent

    # --- time ---------------------------------------------------------------------------------------------------

    @property
    def true_now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed)

    @property
    def now(self) -> datetime:
        return self.true_now + self.skew

    def schedule(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.elapsed + seconds, next(self._turn), what))

    def advance(self, seconds: float) -> None:
        """Let time pass, and run each event that falls due at its own moment."""
        until = self.elapsed + seconds
        while self._events and self._events[0][0] <= until:
            at, _, what = heapq.heappop(self._events)
            self.elapsed = max(self.elapsed, at)
            self.commit_late()
            what()
        self.elapsed = until
        self.commit_late()

    def commit_late(self) -> None:
        for reference in self.vendor.commit_due(self.true_now):
            self.note(f"    the provider commits late: {self.describe_vendor(reference)}")

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    # --- operations ---------------------------------------------------------------------------------------------

    def execute(self, *operations: Operation) -> None:
        """Run one operation, or several interleaved by statement; then check the invariants."""
        before = {row.id: row for row in self.rows}
        with clock.frozen(self.now):
            if len(operations) == 1:
                operations[0].run()
            else:
                self.note(f"at once: {', '.join(operation.name for operation in operations)}")
                self.interleaver.run(list(operations), self.dice)
        self.rows = rows.read_rows(self)
        for operation in operations:
            self._finish(operation)
        self.check(takes.take_violation(self, before, resumed=any("resume" in o.name for o in operations)))
        self.check(proofs.proof_violation(self, before))
        if len(operations) == 1 and (partition := operations[0].partition) is not None and not operations[0].crashed:
            self.check(takes.left_behind(self, partition))
        self.check(every_step.step_violation(self))

    def _finish(self, operation: Operation) -> None:
        if operation.crashed:
            self.note(f"{operation.name}: crashed before its statement {operation.statements}")
            if operation.worker:
                operation.worker.crash()
            if operation.resend_after_crash:
                self.unanswered.append(Operation(operation.name, operation.work, resend_after_crash=True))
        elif operation.error:
            raise operation.error
        else:
            self.note(f"{operation.name}: {self.describe(operation.result)}")
            for call in operation.result if isinstance(operation.result, list) else ():
                if call.is_send:
                    self.check(self.attempts.note_take(call))
                self.network.start(call, operation.worker)

    def check(self, problem: str) -> None:
        """Raises InvariantBroken if there is a problem."""
        if problem:
            raise InvariantBroken(self.seed, self.personality, problem, self.journal)

    # --- the journal --------------------------------------------------------------------------------------------

    def note(self, line: str) -> None:
        skewed = f" (our clock is {self.skew.total_seconds():+.0f} s)" if self.skew else ""
        self.journal.append(f"{self.now.astimezone(clock.VIETNAM):%d %H:%M:%S}{skewed} {line}")

    def describe(self, result: Any) -> str:
        if isinstance(result, list):
            return ", ".join(self.label(call) for call in result) or "nothing"
        return str(result)

    def label(self, call: Call) -> str:
        order = next((o for r, o in self.references().items() if r == call.reference), call.reference)
        return f"{'send' if call.is_send else 'look up'} {order}"

    def references(self) -> dict[str, str]:
        return {str(row.reference): row.order_id for row in self.rows}

    def describe_vendor(self, reference: str) -> str:
        numbers = [f"{p.number}{' rejected' if p.rejected else ''}" for p in self.vendor.known(reference)]
        waiting = sum(p.reference == reference for p in self.vendor.pending)
        return f"{reference[:8]} has {numbers or 'no number'}" + (f", {waiting} pending" if waiting else "")

    # --- merchants ----------------------------------------------------------------------------------------------

    def add_merchant(self, code: str) -> str:
        """Add a merchant with tax data and an account."""
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
