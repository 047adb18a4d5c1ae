"""The network in virtual time: which calls leave a worker, reach the provider, and bring back which answer."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from invoices.issuing.calls import Answer, Call, FinishedCall
from invoices.issuing.decide.send import NOT_SENT
from invoices.providers.base import Refused, Scope, Unavailable, Uncertain
from tests.simulation.world.vendor import LIMITS, SETTLE

if TYPE_CHECKING:
    from tests.simulation.world.world import World

RESULTS = [(50, "answered"), (10, "refused"), (7, "request lost"), (10, "answer lost"), (11, "committed late")]
RESULTS_IN_A_STALL = [(1, "answered"), (2, "refused"), (5, "committed late")]
REFUSALS = [
    (4, lambda: Refused("TAX_CODE_INVALID", "no such buyer", scope=Scope.ORDER, field="buyer.tax_code")),
    (2, lambda: Refused("LINE_INVALID", "a bad line", scope=Scope.ORDER, field="lines")),
    (3, lambda: Refused("OUT_OF_INVOICE_NO", "no quota", scope=Scope.ACCOUNT)),
    (1, lambda: Refused("INVALID_USER_PASSWORD", "the login failed", scope=Scope.ACCOUNT, login=True)),
    (2, lambda: Unavailable("http_429", retry_after=7.0)),
    (2, lambda: Unavailable("connect")),
]


@dataclass(eq=False)
class Worker:
    """A worker process. A crash loses its memory and starts the next generation."""

    name: str
    generation: int = 0
    frozen_until: float = 0.0  # in `world.elapsed`
    answers: list[FinishedCall] = field(default_factory=list)
    freed: set[int] = field(default_factory=set)

    def crash(self) -> None:
        self.generation += 1
        self.frozen_until = 0.0
        self.answers, self.freed = [], set()


@dataclass(eq=False)
class OpenCall:
    """A call that a worker handed to its event loop."""

    call: Call
    worker: Worker
    generation: int
    has_left: bool = False
    may_commit: bool = True

    @property
    def alive(self) -> bool:
        return self.worker.generation == self.generation


class Network:
    def __init__(self, world: "World") -> None:
        self.world = world
        self.dice = world.dice
        self.open_calls: list[OpenCall] = []
        self.stalls = 0.0  # seconds for which the worker whose sends leave now will freeze

    def start(self, call: Call, worker: Worker) -> None:
        open_call = OpenCall(call, worker, worker.generation)
        self.open_calls.append(open_call)
        wait = 0.0 if self.world.calm else self.dice.pick([(6, 0.1), (3, 3.0 * self.dice.share()), (1, 12.0)])
        self.world.schedule(wait, lambda: self._leave(open_call))

    def stall(self, worker: Worker, seconds: float) -> None:
        """The worker freezes in a moment, with its sends on their way. What they become is known when it resumes."""
        self.stalls = seconds
        self.world.advance(0.2)
        self.stalls = 0.0
        worker.frozen_until = self.world.elapsed + seconds
        self.world.note(f"{worker.name} is frozen for {seconds:.0f} s with its sends open")

    def may_reach(self, reference: str) -> bool:
        """Can an open send of this reference still create an invoice?"""
        return any(p.reference == reference for p in self.world.vendor.pending) or any(
            f.may_commit
            and f.call.is_send
            and f.call.reference == reference
            and (f.has_left or (f.alive and self.world.elapsed <= f.call.start_by))
            for f in self.open_calls
        )

    def _leave(self, open_call: OpenCall) -> None:
        """Send the first byte, unless `start_by` has passed or the worker has crashed."""
        call, worker = open_call.call, open_call.worker
        if not open_call.alive:
            self.open_calls.remove(open_call)
        elif worker.frozen_until > self.world.elapsed:
            self.world.schedule(worker.frozen_until - self.world.elapsed, lambda: self._leave(open_call))
        elif call.is_send and self.world.elapsed > call.start_by:
            open_call.may_commit = False
            self._deliver(open_call, Unavailable(NOT_SENT))
        else:
            open_call.has_left = True
            (self._send if call.is_send else self._look_up)(open_call)

    def _look_up(self, open_call: OpenCall) -> None:
        vendor, call = self.world.vendor, open_call.call
        out, back = self._times(0.2)

        def arrive() -> None:
            found = vendor.find(call.account.id, call.reference, self.world.true_now)
            self.world.schedule(back, lambda: self._deliver(open_call, found))

        self.world.schedule(out, arrive)

    def _send(self, open_call: OpenCall) -> None:
        result = "answered" if self.world.calm else self.dice.pick(RESULTS_IN_A_STALL if self.stalls else RESULTS)
        out, back = self._times(0.2)
        if result == "refused":
            open_call.may_commit = False
            refusal = self.dice.pick(REFUSALS)()
            self.world.schedule(out + back, lambda: self._deliver(open_call, refusal))
        elif result == "request lost":
            open_call.may_commit = False
            self.world.schedule(self._timeout_after(out), lambda: self._deliver(open_call, Uncertain("timeout")))
        elif result == "answered":
            self.world.schedule(out, lambda: self._receive(open_call, lambda answer: (back, answer)))
        elif result == "answer lost":
            ends = self._timeout_after(out) - out
            self.world.schedule(out, lambda: self._receive(open_call, lambda _: (ends, Uncertain("timeout"))))
        else:
            late, ends = self._commit_delay(), self._timeout_after(out) - out
            self.world.schedule(out, lambda: self._receive(open_call, lambda _: (ends, Uncertain("timeout")), late))

    def _receive(self, open_call: OpenCall, respond: Any, late: timedelta | None = None) -> None:
        open_call.may_commit = False  # from now on the provider's books show it
        call = open_call.call
        answer = self.world.vendor.receive(call, self.world.true_now, late)
        wait, answer = respond(answer)
        self.world.note(
            f"    the provider receives {self.world.label(call)}: {self.world.describe_vendor(call.reference)}"
        )
        self.world.schedule(wait, lambda: self._deliver(open_call, answer))

    def _deliver(self, open_call: OpenCall, answer: Answer) -> None:
        worker = open_call.worker
        if open_call.alive and worker.frozen_until > self.world.elapsed:
            self.world.schedule(
                worker.frozen_until - self.world.elapsed,
                lambda: self._deliver(open_call, self._answer_after_thaw(open_call, answer)),
            )
            return
        self.open_calls.remove(open_call)
        if open_call.alive:
            worker.answers.append(FinishedCall(open_call.call, answer, self.world.now))
            self.world.attempts.note_answer(open_call.call, answer, self.world.now)

    def _answer_after_thaw(self, open_call: OpenCall, answer: Answer) -> Answer:
        """A worker that resumes may read the provider's answer from its socket before it checks its timer."""
        made = [
            p for p in self.world.vendor.books if open_call.call.is_send and p.issuance == open_call.call.issuance_id
        ]
        return self.world.vendor.response_for(made[0], self.world.true_now) if made and self.dice.maybe(0.7) else answer

    def _times(self, quick: float) -> tuple[float, float]:
        """Seconds out and back, together no longer than the longest call."""
        if self.world.calm:
            return 0.0, 0.0
        out = self.dice.pick([(6, quick), (2, 5 * self.dice.share()), (1, 0.99 * LIMITS.total * self.dice.share())])
        return out, self.dice.pick([(6, quick), (2, self.dice.share() * 0.99 * (LIMITS.total - out))])

    def _timeout_after(self, out: float) -> float:
        """Seconds until the call ends without an answer: the connection breaks soon after the send, or it times out."""
        return self.dice.pick([(1, out + 0.5), (2, LIMITS.total)])

    def _commit_delay(self) -> timedelta:
        if not self.world.vendor.strict:
            return SETTLE * self.dice.share() * 0.999
        if self.stalls:
            return timedelta(
                seconds=self.stalls - self.dice.one([15, 80]) * self.dice.share()
            )  # shortly before it resumes
        return self.dice.pick(
            [(3, SETTLE * self.dice.share()), (3, timedelta(minutes=30) * self.dice.share()),
             (1, timedelta(hours=20) * self.dice.share())]
        )  # fmt: skip
