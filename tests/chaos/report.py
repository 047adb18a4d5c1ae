"""The result of a round: the provider's ledger compared with our rows."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from rich.console import Console
from rich.table import Table

from invoices.dev.demo.books import Books
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from webhooks.models import WebhookEvent


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    books: Books
    ledger: dict[str, Any]  # the provider's summary: duplicates, gaps and dates that ran backwards
    stats: dict[str, int]  # the provider's counts of requests and faults
    accepted: int
    failed: dict[str, int]
    sends: int
    kills: int
    died: list[str]  # processes that ended without being killed: no fault may do that
    injected: dict[str, int]
    resent: dict[str, int]  # answers after which the platform sent its webhook again
    seconds_to_recover: float | None  # None: timed out

    @property
    def passed(self) -> bool:
        broken = self.books.duplicates or self.ledger["duplicates"] or self.ledger["gaps"] or self.ledger["backwards"]
        unrecovered = self.seconds_to_recover is None or self.failed or self.accepted != self.books.orders
        return not broken and not unrecovered and not self.died and self.books.agree

    def to_json(self) -> dict[str, Any]:
        states = self.books.states
        return {
            "seed": self.seed,
            "passed": self.passed,
            "orders": self.books.orders,
            "accepted": self.accepted,
            "issued": states.get(State.ISSUED, 0),
            "waiting": states.get(State.WAITING, 0),
            "cancelled": states.get(State.CANCELLED, 0),
            "failed": self.failed,
            "ledger": self.books.ledger,
            "duplicates": self.books.duplicates + len(self.ledger["duplicates"]),
            "lost": len(self.books.lost),
            "lostOrders": self.books.lost[:20],
            "gaps": self.ledger["gaps"],
            "backwards": self.ledger["backwards"],
            "lookups": self.stats.get("search", 0),
            "sends": self.sends,
            "retries": self.sends - states.get(State.ISSUED, 0),
            "faults": sum(count for name, count in self.stats.items() if name.startswith("fault ")),
            "kills": self.kills,
            "died": self.died,
            "injected": self.injected,
            "resent": self.resent,
            "secondsToRecover": self.seconds_to_recover,
            "paidTotal": self.books.paid_total,
            "invoicedTotal": self.books.invoiced_total,
            "moneyEqual": self.books.paid_total == self.books.invoiced_total,
        }

    def show(self, console: Console) -> None:
        values = self.to_json()
        table = Table(title=f"Chaos, seed {self.seed}", show_header=False, title_justify="left")
        for label, key in (
            ("Orders paid", "orders"), ("  accepted (202)", "accepted"), ("  issued", "issued"),
            ("  waiting for a claim", "waiting"), ("  cancelled by a refund", "cancelled"),
            ("  failed, by reason", "failed"), ("In the provider's ledger", "ledger"), ("Duplicates", "duplicates"),
            ("Lost", "lost"), ("Gaps in numbers", "gaps"), ("Dates that ran backwards", "backwards"),
            ("Sends", "sends"), ("  of them retries", "retries"), ("Look-ups", "lookups"),
            ("Provider's faults", "faults"), ("Processes killed", "kills"), ("Processes died", "died"),
            ("Other faults injected", "injected"),
            ("Webhooks sent again after", "resent"),
        ):  # fmt: skip
            table.add_row(label, _format(values[key]))
        recovery = "timed out" if self.seconds_to_recover is None else f"{self.seconds_to_recover:.1f} s"
        table.add_row("Time to recover", recovery)
        table.add_row("Money paid / invoiced", f"{self.books.paid_total:,} / {self.books.invoiced_total:,} ₫")
        console.print(table)
        for wrong in self.books.lost[:20]:
            console.print(f"[red]{wrong}[/red]")
        console.print("[green]Passed.[/green]" if self.passed else "[red]FAILED.[/red]")


def failures() -> dict[str, int]:
    rows = Invoice.objects.filter(state=State.FAILED).values_list("failure").annotate(Count("id"))
    refused = WebhookEvent.objects.exclude(status=WebhookEvent.Status.DONE).values_list("status").annotate(Count("id"))
    return dict(Counter(dict(rows)) + Counter({f"webhook {status}": count for status, count in refused}))


def sends() -> int:
    return InvoiceIssuance.objects.count()


def _format(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in sorted(value.items())) or "0"
    return ", ".join(value) or "0" if isinstance(value, list) else str(value)
