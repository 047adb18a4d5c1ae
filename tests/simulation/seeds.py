"""Run one seed from its first payment to completion."""

import queue
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from django.db import connection

from config.base import clock
from invoices import queues
from invoices.issuing import final_lookups, parked_accounts, take
from invoices.issuing.calls import Call, FinishedCall
from invoices.models import LegalRules
from invoices.operations import look_up, replay
from tests.simulation.completion import run_to_completion
from tests.simulation.steps.draw import step
from tests.simulation.steps.workers import record_and_note
from tests.simulation.world.interleave import Interleaver
from tests.simulation.world.world import InvariantBroken, World

OPEN = "('WAITING', 'QUEUED', 'SENDING', 'UNCERTAIN', 'SUBMITTED')"


def simulate(seed: int, personality: str, interleaver: Interleaver) -> World:
    """Raises InvariantBroken with the journal."""
    end_earlier_seeds()
    world = World(seed, personality, interleaver)
    with patched_surroundings(world):
        try:
            for code in world.merchant_codes:
                if world.dice.maybe(0.8):
                    with clock.frozen(world.now):
                        world.add_merchant(code)
            for _ in range(world.dice.count(15, 50)):
                step(world)
            run_to_completion(world)
        except InvariantBroken:
            raise
        except Exception as error:  # noqa: BLE001  (any error of the product is a finding)
            raise InvariantBroken(seed, personality, f"{type(error).__name__}: {error}", world.journal) from error
    return world


@contextmanager
def patched_surroundings(world: World) -> Iterator[None]:
    """Replace the product's wake-ups, clock and network by those of the world."""

    def wake(partition: int, *, force: bool = False) -> None:
        if world.calm or world.dice.maybe(0.9):
            world.wakeups.add(partition)

    immediate = ImmediateNetwork(world)
    record = partial(record_and_note, world)
    with ExitStack() as stack:
        for target, name, value in (
            (queues, "wake", wake),
            (replay, "wake", wake),
            (take, "time", types.SimpleNamespace(monotonic=lambda: world.elapsed)),
            (final_lookups, "wire", immediate),
            (parked_accounts, "wire", immediate),
            (look_up, "wire", immediate),
            (final_lookups, "record", record),
            (look_up, "record", record),
            (LegalRules, "_known_until", float("inf")),
        ):
            stack.enter_context(patch.object(target, name, value))
        if not LegalRules._known:
            LegalRules._known = list(LegalRules.objects.order_by("-effective_from"))
        yield


class ImmediateNetwork:
    """A network that answers at once, for work that the clock starts: final look-ups, probes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http_loop = self

    def start(self, call: Call, answers: "queue.Queue[FinishedCall]") -> None:
        found = self.world.vendor.find(call.account.id, call.reference, self.world.true_now)
        self.world.attempts.note_answer(call, found, self.world.now)
        answers.put(FinishedCall(call, found, self.world.now))

    def run(self, work: Any) -> None:
        """A probe: it always succeeds."""


def end_earlier_seeds() -> None:
    """End what earlier seeds left unfinished: all seeds share the same days, so it would fall due in this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoices_invoice SET state = 'FAILED', failure = 'bug', final_lookup_at = NULL "
            f"WHERE state IN {OPEN} OR final_lookup_at IS NOT NULL "
            "OR state = 'FAILED' AND failure = 'refused' AND failure_field LIKE 'buyer.%'"
        )
        cursor.execute("UPDATE merchants_provideraccount SET parked_for_login = false WHERE parked_for_login")
        cursor.execute(
            "INSERT INTO invoices_partition SELECT number, false FROM generate_series(0, 2) AS number "
            "ON CONFLICT (number) DO UPDATE SET paused = false"
        )
        cursor.execute("DELETE FROM simulation_take")
        cursor.execute("UPDATE invoices_payment SET parked = '' WHERE parked <> ''")
