"""The results of all rounds: median and spread, as tables or JSON."""

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Ingest:
    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # of the API, per payment


@dataclass(slots=True)
class Issuance:
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # of all workers, per invoice
    provider_cpu_ms: list[float] = field(default_factory=list)
    live_p50_ms: list[float] = field(default_factory=list)  # from paid to issued, in a steady flow
    live_p99_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class BenchResults:
    machine: dict[str, Any]
    wanted: dict[str, Any]
    ingest: Ingest = field(default_factory=Ingest)
    issuance: dict[int, Issuance] = field(default_factory=dict)  # by the provider's latency in ms
    one_account: dict[int, list[float]] = field(default_factory=dict)  # invoices a second, by in_flight
    statements_per_invoice: list[float] = field(default_factory=list)
    memory_mib: dict[str, float] = field(default_factory=dict)
    yardstick_ms: list[float] = field(default_factory=list)  # the machine's own speed, before each round

    def to_json(self) -> dict[str, Any]:
        """Each result as median, least, most and all rounds."""
        return _summarise(asdict(self))

    def show(self, console: Console) -> None:
        console.print(
            f"[bold]{self.machine['cpus']} cores[/bold], shared by API, workers, PostgreSQL, provider and load; "
            f"{self.wanted['rounds']} rounds of {self.wanted['orders']:,} orders, {self.wanted['merchants']} merchants."
            " Median (least – most)."
        )
        ingest = _table(
            "Ingest: signed payments over HTTP, 32 at once", "payments/s", "p50 ms", "p99 ms", "CPU ms each"
        )
        row = self.ingest
        ingest.add_row("API", _spread(row.per_second), _spread(row.p50_ms), _spread(row.p99_ms), _spread(row.cpu_ms, 2))
        console.print(ingest)
        live = f"paid → issued at {self.wanted['live_rate']:g}/s"
        issuance = _table(
            "Issuance: a queue drained by one worker per partition",
            "invoices/s", "worker CPU ms", "provider CPU ms", f"{live}, p50 ms", "p99 ms",
        )  # fmt: skip
        for latency, row in sorted(self.issuance.items()):
            issuance.add_row(
                f"provider at {latency} ms", _spread(row.per_second), _spread(row.cpu_ms, 2),
                _spread(row.provider_cpu_ms, 2), _spread(row.live_p50_ms), _spread(row.live_p99_ms),
            )  # fmt: skip
        console.print(issuance)
        account = _table(f"One account, provider at {self.wanted['account_latency']} ms", "invoices/s", "at best")
        for in_flight, rates in sorted(self.one_account.items()):
            best = 1000 * in_flight / self.wanted["account_latency"]
            account.add_row(f"{in_flight} in flight", _spread(rates, 1), f"{best:g}")
        console.print(account)
        if self.statements_per_invoice:
            console.print(f"Statements per invoice (worker): {_spread(self.statements_per_invoice, 2)}")
        memory = ", ".join(f"{kind} {mib:.0f}" for kind, mib in self.memory_mib.items())
        console.print(f"Peak memory, MiB (largest process): {memory}")
        console.print(f"Yardstick, a million additions in Python, ms: {_spread(self.yardstick_ms)}")


def yardstick() -> float:
    """Milliseconds of a fixed piece of work: the speed of a shared machine changes from minute to minute."""
    started, total = time.perf_counter(), 0
    for at in range(1_000_000):
        total += at
    return 1000 * (time.perf_counter() - started)


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _spread(values: list[float], digits: int = 0) -> str:
    if not values:
        return "–"
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} – {max(values):,.{digits}f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _summarise(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _summarise(inner) for name, inner in value.items()}
    if isinstance(value, list) and value:
        rounds = [round(one, 3) for one in value]
        return {
            "median": round(statistics.median(value), 3), "least": min(rounds), "most": max(rounds), "rounds": rounds,
        }  # fmt: skip
    return value
