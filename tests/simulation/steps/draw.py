"""The steps of a seed, drawn by the dice: one operation, several at once, passing time, or a fault."""

from datetime import timedelta

from tests.simulation.invariants import every_step
from tests.simulation.steps.facts import draw_fact
from tests.simulation.steps.operators import draw_operator_action
from tests.simulation.steps.stalls import run_stall, to_send
from tests.simulation.steps.workers import draw_upkeep, draw_worker_operation
from tests.simulation.world.interleave import Operation
from tests.simulation.world.network import Worker
from tests.simulation.world.world import World


def step(world: World) -> None:
    """Run one random step: one operation, several at once, time passing, or a fault."""
    dice = world.dice
    if world.stall_ahead and (partitions := to_send(world)):
        return run_stall(world, partitions)
    dice.pick([(6, run_one), (3, run_several), (7, advance_time), (1, inject_fault)])(world)


def advance_time(world: World) -> None:
    dice = world.dice
    seconds = dice.pick(
        [(8, 5 * dice.share()), (8, 90 * dice.share()), (5, 400 * dice.share()), (1, 2 * 3600 * dice.share()),
         (0.3, 30 * 3600 * dice.share())]
    )  # fmt: skip
    world.advance(seconds)
    world.note(f"time passed: {seconds:.0f} s")
    world.check(every_step.step_violation(world))


def inject_fault(world: World) -> None:
    dice = world.dice
    worker = dice.one(world.workers)
    match dice.pick([(3, "crash"), (3, "freeze"), (1, "clock"), (1, "wake-ups")]):
        case "crash":
            worker.crash()
            world.note(f"{worker.name} was killed")
        case "freeze":
            seconds = dice.pick([(1, 12 * dice.share()), (2, 300 * dice.share()), (2, 1200 * dice.share())])
            worker.frozen_until = world.elapsed + seconds
            world.note(f"{worker.name} is frozen for {seconds:.0f} s")
        case "clock":
            # A clock set back only makes us wait longer; against one set forward only the key check protects.
            forward = world.vendor.strict and dice.maybe(0.5)
            world.skew += timedelta(seconds=300 * dice.share()) * (1 if forward else -1)
            world.note(f"our clock is set {'forward' if forward else 'back'}")
        case "wake-ups":
            world.wakeups.clear()
            world.note("wake-ups are lost")


def run_one(world: World) -> None:
    if operation := draw_operation(world, world.workers):
        if world.dice.maybe(0.08):
            operation.crash_at = world.dice.count(1, 25)
        execute(world, operation)


def run_several(world: World) -> None:
    free, operations = list(world.workers), []
    for _ in range(world.dice.count(2, 3)):
        if operation := draw_operation(world, free):
            free = [worker for worker in free if worker is not operation.worker]
            if world.dice.maybe(0.05):
                operation.crash_at = world.dice.count(1, 25)
            operations.append(operation)
    execute(world, *operations)


def execute(world: World, *operations: Operation) -> None:
    if not operations:
        return
    world.execute(*operations)
    if len(operations) == 1 and isinstance(operations[0].result, list):
        sent = {call.invoice_id for call in operations[0].result if call.is_send}
        world.check(every_step.order_violation(world, sent))


def draw_operation(world: World, free: list[Worker]) -> Operation | None:
    """A random operation; a worker's only of those in `free`."""
    kind = world.dice.pick([(6, draw_fact), (10, draw_worker_operation), (4, draw_upkeep), (1.5, draw_operator_action)])
    return kind(world, free)
