"""Everything the bench measures: merchants that issue at once, our processes, and the CPU and memory they use."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from config.base import clock
from config.processes.run_modes import api, manage, worker
from invoices import queues
from invoices.dev.demo import setup
from invoices.dev.demo.processes import Processes, free_port
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from merchants.models import Merchant, ProviderAccount
from tests import DAY, cast

OWED = (State.QUEUED, State.SENDING, State.UNCERTAIN, State.SUBMITTED)
DRAIN_TIMEOUT = 120  # seconds for a queue to be drained


class BenchStack:
    database = os.environ["DATABASE_URL"]

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.port, self.vendor_port = free_port(settings.PORT), free_port(31141)
        self.api, self.simulator = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.vendor_port}"
        self.merchants: list[Merchant] = []

    def start(self, merchants: int) -> None:
        clock.start_at(10, DAY)
        os.environ["DATABASE_URL"], os.environ["LOG_LEVEL"] = self.database, "WARNING"
        setup.use_own_databases("hoadon_bench")
        call_command("migrate", verbosity=0)
        call_command("loaddata", "legal_rules", verbosity=0)
        self.processes.start("provider", *manage("simulate_provider", "--port", str(self.vendor_port)))
        self.processes.wait_for("provider", f"{self.simulator}/simulator/stats")
        symbol = f"C{clock.today_vn().year % 100:02d}TAA"
        self.merchants = [
            cast.seller(f"bench-{at:03d}", url=self.simulator, symbol=symbol, claim_window=0) for at in range(merchants)
        ]
        setup.post_json(f"{self.simulator}/simulator/tenants", [cast.tenant(merchant) for merchant in self.merchants])
        self.processes.start("api", *api(self.port))
        for partition in range(settings.PARTITIONS):
            name = f"worker-{partition}"
            self.processes.start(name, *worker(name, queues.issuance_queue(partition)))
        self.processes.wait_for("api", f"{self.api}/admin/login/")

    def set_latency(self, milliseconds: float) -> None:
        setup.post_json(f"{self.simulator}/simulator/settings", {"latency": milliseconds})

    def pause_issuing(self) -> None:
        """Pause all partitions, as an operator does: rows queue up."""
        Partition.objects.bulk_create(
            [Partition(number=p, paused=True) for p in range(settings.PARTITIONS)],
            update_conflicts=True,
            unique_fields=["number"],
            update_fields=["paused"],
        )

    def resume_issuing(self) -> None:
        Partition.objects.update(paused=False)
        for partition in range(settings.PARTITIONS):
            queues.wake(partition, force=True)

    @contextmanager
    def workers_frozen(self) -> Iterator[None]:
        """Freeze the worker processes and resume the partitions: only the caller takes from the queue."""
        workers = self._processes_of("worker")
        for process in workers:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            Partition.objects.update(paused=False)
            yield
        finally:
            for process in workers:
                os.kill(process.pid, signal.SIGCONT)

    def wait_until_drained(self) -> None:
        """Wait until no invoice is unfinished. Raises TimeoutError."""
        end = time.monotonic() + DRAIN_TIMEOUT
        while Invoice.objects.filter(state__in=OWED).exists():
            if time.monotonic() > end:
                raise TimeoutError("the queue was not drained; see the workers' logs")
            time.sleep(0.02)

    def set_in_flight(self, in_flight: int | None) -> None:
        ProviderAccount.objects.update(in_flight=in_flight)

    def cpu_seconds(self, kind: str) -> float:
        """Seconds of user and system time used by the processes of a kind."""
        return sum(sum(cpu_times(process.pid)) for process in self._processes_of(kind))

    def peak_memory(self) -> dict[str, float]:
        """Peak MiB of each kind of process; the largest where there are several."""
        kinds = ("api", "worker", "provider")
        return {kind: max(_peak(process.pid) for process in self._processes_of(kind)) for kind in kinds}

    def _processes_of(self, kind: str) -> list["subprocess.Popen[bytes]"]:
        return [process for name, process in self.processes.running.items() if name.startswith(kind)]


@dataclass(slots=True)
class Statements:
    """Counts the statements of this process's connection."""

    count: int = 0

    def __call__(self, execute, sql, params, many, context):
        self.count += 1
        return execute(sql, params, many, context)


def statements_per_invoice() -> float:
    """Take, send and record what is queued now, in this process, and count the statements of its connection."""
    rows = Invoice.objects.filter(state=State.QUEUED).count()
    statements = Statements()
    with connection.execute_wrapper(statements):
        for partition in range(settings.PARTITIONS):
            issue_due(partition)
    return statements.count / rows


def cpu_times(pid: int) -> list[float]:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return [one.cpu_times().user + one.cpu_times().system for one in family]


def _peak(pid: int) -> float:
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return max(_high_water(one) for one in family)


def _high_water(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if sys.platform == "linux" and status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return psutil.Process(pid).memory_info().rss / 2**20
