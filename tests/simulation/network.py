"""Calls on their way, in virtual time: what leaves, what arrives, and which answer comes back."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from invoices.issuing.calls import Answer, Answered, Call
from invoices.issuing.decide.send import NOT_SENT
from invoices.providers.base import Refused, Scope, Unavailable, Uncertain
from tests.simulation.vendor import LIMITS, SETTLE

if TYPE_CHECKING:
    from tests.simulation.world import World

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
    """A worker process: what is in its memory dies with it."""

    name: str
    life: int = 0
    frozen_until: float = 0.0  # monotonic
    answers: list[Answered] = field(default_factory=list)
    freed: set[int] = field(default_factory=set)

    def die(self) -> None:
        self.life += 1
        self.frozen_until = 0.0
        self.answers, self.freed = [], set()


@dataclass(eq=False)
class OpenCall:
    """A call that a worker handed to its event loop."""

    call: Call
    worker: Worker
    life: int
    departed: bool = False
    may_commit: bool = True

    @property
    def alive(self) -> bool:
        return self.worker.life == self.life


class Network:
    def __init__(self, world: "World") -> None:
        self.world = world
        self.dice = world.dice
        self.flights: list[OpenCall] = []

    def start(self, call: Call, worker: Worker) -> None:
        flight = OpenCall(call, worker, worker.life)
        self.flights.append(flight)
        wait = 0.0 if self.world.calm else self.dice.pick([(6, 0.1), (3, 3.0 * self.dice.share()), (1, 12.0)])
        self.world.later(wait, lambda: self._depart(flight))

    def may_reach(self, reference: str) -> bool:
        """May a send of this reference that is out still make an invoice?"""
        return any(p.reference == reference for p in self.world.vendor.pending) or any(
            f.may_commit
            and f.call.is_send
            and f.call.reference == reference
            and (f.departed or (f.alive and self.world.mono <= f.call.start_by))
            for f in self.flights
        )

    def _depart(self, flight: OpenCall) -> None:
        """The first byte leaves, unless it is too late for it or nobody is left to send it."""
        call, worker = flight.call, flight.worker
        if not flight.alive:
            self.flights.remove(flight)
        elif worker.frozen_until > self.world.mono:
            self.world.later(worker.frozen_until - self.world.mono, lambda: self._depart(flight))
        elif call.is_send and self.world.mono > call.start_by:
            flight.may_commit = False
            self._answer(flight, Unavailable(NOT_SENT))
        else:
            flight.departed = True
            (self._send if call.is_send else self._ask)(flight)

    def _ask(self, flight: OpenCall) -> None:
        vendor, call = self.world.vendor, flight.call
        there, back = self._times(0.2)

        def arrive() -> None:
            found = vendor.find(call.account.id, call.reference, self.world.true)
            self.world.later(back, lambda: self._answer(flight, found))

        self.world.later(there, arrive)

    def _send(self, flight: OpenCall) -> None:
        fate = "fine" if self.world.calm else self.dice.pick(
            [(50, "fine"), (10, "refused"), (7, "never arrives"), (10, "answer lost"), (11, "late")]
        )  # fmt: skip
        there, back = self._times(0.2)
        if fate == "refused":
            flight.may_commit = False
            refusal = self.dice.pick(REFUSALS)()
            self.world.later(there + back, lambda: self._answer(flight, refusal))
        elif fate == "never arrives":
            flight.may_commit = False
            self.world.later(self._time_out(there), lambda: self._answer(flight, Uncertain("timeout")))
        elif fate == "fine":
            self.world.later(there, lambda: self._arrive(flight, lambda answer: (back, answer)))
        elif fate == "answer lost":
            ends = self._time_out(there) - there
            self.world.later(there, lambda: self._arrive(flight, lambda _: (ends, Uncertain("timeout"))))
        else:
            late, ends = self._lateness(), self._time_out(there) - there
            self.world.later(there, lambda: self._arrive(flight, lambda _: (ends, Uncertain("timeout")), late))

    def _arrive(self, flight: OpenCall, told: Any, late: timedelta | None = None) -> None:
        flight.may_commit = False  # from here on the provider's own books tell
        call = flight.call
        answer = self.world.vendor.receive(call, self.world.true, late)
        wait, answer = told(answer)
        self.world.tell(f"    the provider gets {self.world.name(call)}: {self.world.vendor_view(call.reference)}")
        self.world.later(wait, lambda: self._answer(flight, answer))

    def _answer(self, flight: OpenCall, answer: Answer) -> None:
        worker = flight.worker
        if flight.alive and worker.frozen_until > self.world.mono:
            self.world.later(
                worker.frozen_until - self.world.mono, lambda: self._answer(flight, self._by_now(flight, answer))
            )
            return
        self.flights.remove(flight)
        if flight.alive:
            worker.answers.append(Answered(flight.call, answer, self.world.now))

    def _by_now(self, flight: OpenCall, answer: Answer) -> Answer:
        """A worker that thaws may find the provider's answer in its socket before it looks at its timer."""
        made = [p for p in self.world.vendor.books if flight.call.is_send and p.issuance == flight.call.issuance_id]
        return self.world.vendor.told(made[0], self.world.true) if made and self.dice.maybe(0.7) else answer

    def _times(self, quick: float) -> tuple[float, float]:
        """Seconds there and back, together within the longest call."""
        if self.world.calm:
            return 0.0, 0.0
        there = self.dice.pick([(6, quick), (2, 5 * self.dice.share()), (1, 0.99 * LIMITS.total * self.dice.share())])
        return there, self.dice.pick([(6, quick), (2, self.dice.share() * 0.99 * (LIMITS.total - there))])

    def _time_out(self, there: float) -> float:
        """When the call ends without an answer: the connection breaks after the bytes left, or the time is over."""
        return self.dice.pick([(1, there + 0.5), (2, LIMITS.total)])

    def _lateness(self) -> timedelta:
        if not self.world.vendor.strict:
            return SETTLE * self.dice.share() * 0.999
        return self.dice.pick(
            [(3, SETTLE * self.dice.share()), (3, timedelta(minutes=30) * self.dice.share()),
             (1, timedelta(hours=20) * self.dice.share())]
        )  # fmt: skip
