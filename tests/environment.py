"""Loaded before Django: the servers and the clock of the suite."""

import gc
import os
from pathlib import Path

from config.base import clock
from tests import DAY, template

os.environ.setdefault("HOADON_LOCAL", str(template.LOCAL))
if "DATABASE_URL" not in os.environ:
    template.copy_to(Path(os.environ["HOADON_LOCAL"]))
clock.start_at(10, DAY)  # at 10:00: from 22:00 on no claim window opens

# Workers of one run share one Valkey, each with a database of its own.
worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if worker and "?" not in os.environ.get("REDIS_URL", "?"):
    os.environ["REDIS_URL"] += f"?db={1 + int(worker.removeprefix('gw')) % 15}"

gc.set_threshold(100_000, 50, 100)  # modules and tests stay loaded: scanning them again costs a tenth of the CPU


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
