"""A worker stalls with a send open, and the others go on without it: its answer comes late, to an older attempt."""

from invoices.issuing.calls import MARGIN, longest_send
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.upkeep import sweep
from tests.simulation.invariants.takes import may_be_sent
from tests.simulation.steps.operators import skip_and_record
from tests.simulation.steps.refusals import catch_refusals
from tests.simulation.steps.workers import lookup_operation, record_operation, take_operation
from tests.simulation.world.interleave import Operation
from tests.simulation.world.network import Worker
from tests.simulation.world.vendor import SETTLE
from tests.simulation.world.world import World

UNTIL_ABANDONED = longest_send("viettel").total_seconds() + MARGIN.total_seconds()
UNTIL_SETTLED = SETTLE.total_seconds() + 30
ROUNDS = 5  # enough for a send to be proven absent and sent again


def to_send(world: World) -> list[int]:
    """The partitions that have something to send."""
    return sorted({row.partition for row in world.rows if may_be_sent(world, row)})


def run_stall(world: World, partitions: list[int]) -> None:
    awake = [worker for worker in world.workers if worker.frozen_until <= world.elapsed]
    if not awake:
        return world.advance(60)
    world.stall_ahead = False
    _take(world, world.dice.one(awake), world.dice.one(partitions), stalls=True)
    for at, seconds in enumerate((UNTIL_ABANDONED, UNTIL_SETTLED, *[SETTLE.total_seconds()] * ROUNDS)):
        world.advance(seconds + 10 * world.dice.share())
        if at == 2 and world.dice.maybe(0.5):
            _stall_a_lookup(world)
        if at == 3 and world.dice.maybe(0.2):
            _skip(world)
        world.execute(Operation("the sweep", sweep.sweep))
        for worker in world.workers:
            if worker.frozen_until <= world.elapsed:
                _serve(world, worker)


def _stall_a_lookup(world: World) -> None:
    """A worker freezes with a look-up open: its answer too comes late, and maybe to an older attempt."""
    awake = [worker for worker in world.workers if worker.frozen_until <= world.elapsed]
    uncertain = [row for row in world.rows if row.state == State.UNCERTAIN]
    if awake and uncertain:
        worker, row = world.dice.one(awake), world.dice.one(uncertain)
        world.execute(lookup_operation(world, worker, row))
        world.network.stall(worker, world.dice.between(100, 300))


def _skip(world: World) -> None:
    """An operator ends what holds up its account, before the late answer comes."""
    if uncertain := [row.id for row in world.rows if row.state == State.UNCERTAIN]:
        invoice = Invoice.objects.get(pk=world.dice.one(uncertain))
        work = catch_refusals(lambda: skip_and_record(world, invoice, actor="user:7", reason="simulated"))
        world.execute(Operation(f"operator: skip {invoice.order_id}", work))


def _serve(world: World, worker: Worker) -> None:
    """Record, take one partition, and record what is answered soon."""
    dice = world.dice
    _record(world, worker)
    if world.wakeups and dice.maybe(0.75):
        _take(world, worker, dice.one(sorted(world.wakeups)), stalls=dice.maybe(0.3))
        world.advance(12)
        _record(world, worker)


def _take(world: World, worker: Worker, partition: int, *, stalls: bool) -> None:
    """`stalls`: the worker freezes as soon as the bytes of its sends are out."""
    taking = take_operation(world, worker, partition)
    world.execute(taking)
    if stalls and any(call.is_send for call in taking.result):
        world.network.stall(worker, world.dice.between(270, 460))


def _record(world: World, worker: Worker) -> None:
    if worker.answers and worker.frozen_until <= world.elapsed:
        world.execute(record_operation(world, worker))
