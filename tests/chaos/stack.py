"""Everything a round runs on: its own database, generated merchants with an account each, and all our processes."""

import os
import random
import sys

from django.conf import settings

from config.base import clock
from config.processes.run_modes import api, beat, worker
from invoices.dev.demo import setup
from invoices.dev.demo.processes import Processes, free_port
from invoices.queues import BACKGROUND, expiry_queue, issuance_queue
from tests import DAY, cast
from tests.chaos.faults import PROVIDER

TRADES = ["food", "electronics", "pharmacy", "mart", "food", "book"]
FAULTS = {  # per hundred calls; together about ten at each endpoint that issues or looks up
    "create": {
        "issue-then-drop": 1.5, "drop-before": 1.0, "5xx-after-issue": 1.5, "5xx-before": 1.0, "429": 1.0,
        "being-processed": 1.0, "commit-late": 1.0, "code-delayed": 1.0, "bad-body": 0.5, "token-expired": 0.5,
    },
    "search": {"lookup-error": 4.0, "lookup-lag": 3.0, "5xx-before": 1.0, "bad-body": 1.0, "token-expired": 1.0},
    "login": {"5xx-before": 5.0, "drop-before": 5.0},
    "file": {"5xx-before": 4.0, "bad-body": 3.0, "file-not-ready": 3.0},
}  # fmt: skip


class ChaosStack:
    """The processes and their addresses. The merchants are in the database and at the provider."""

    database = os.environ["DATABASE_URL"]

    def __init__(self, processes: Processes, *, seed: int, merchants: int, latency: float = 0.03) -> None:
        self.processes, self.seed, self.count, self.latency = processes, seed, merchants, latency
        port, vendor = free_port(settings.PORT), free_port(31141)
        self.api, self.simulator, self._ports = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{vendor}", (port, vendor)

    def start_servers(self) -> None:
        """Start the servers and the provider, and add the merchants. None of our processes runs yet."""
        clock.start_at(10, DAY)
        os.environ["PUBLIC_URL"] = settings.PUBLIC_URL = self.api
        os.environ["DATABASE_URL"] = self.database  # an earlier round changed it
        setup.use_own_databases("hoadon_chaos")
        self.processes.start(
            PROVIDER, sys.executable, "-m", "tests.chaos.provider_process", str(self._ports[1]), str(self.seed)
        )
        self.processes.wait_for(PROVIDER, f"{self.simulator}/simulator/stats")
        # What a fault delays is visible within 4 s; our side waits 5.
        setup.post_json(f"{self.simulator}/simulator/settings", {"settle": 4, "latency": self.latency * 1000})
        setup.create_tables()
        self._add_merchants()

    def start_processes(self, workers_each: int = 2) -> None:
        """Start all our processes."""
        self.processes.start("api", *api(self._ports[0]))
        for partition in range(settings.PARTITIONS):
            for copy in range(workers_each):
                name = f"worker-{partition}{'abcdefgh'[copy]}"
                self.processes.start(name, *worker(name, issuance_queue(partition)))
        claims = [expiry_queue(partition) for partition in range(settings.PARTITIONS)]
        for copy in "ab":
            self.processes.start(f"worker-sweep-{copy}", *worker(f"sweep-{copy}", "hoadon", *claims))
        self.processes.start("worker-background", *worker("background", BACKGROUND))
        self.processes.start("beat", *beat())
        self.processes.wait_for("api", f"{self.api}/admin/login/")

    def inject_provider_faults(self) -> None:
        for endpoint, modes in FAULTS.items():
            left = 100.0  # the provider applies the rules one after the other
            for mode, percent in modes.items():
                rule = {"mode": mode, "endpoint": endpoint, "probability": percent / left}
                setup.post_json(f"{self.simulator}/simulator/faults", rule)
                left -= percent

    def _add_merchants(self) -> None:
        dice, year = random.Random(self.seed), clock.today_vn().year % 100
        tenants = []
        for at in range(self.count):
            trade = TRADES[at % len(TRADES)]
            merchant = cast.seller(
                f"chaos-{trade}-{at:03d}",
                url=self.simulator,
                form="2" if trade == "food" and dice.random() < 0.5 else "1",
                symbol=f"C{year:02d}T{'ABCD'[at % 4]}A",
                name=f"Cửa hàng số {at + 1}",
            )
            tenants.append(cast.tenant(merchant))
        setup.post_json(f"{self.simulator}/simulator/tenants", tenants)
