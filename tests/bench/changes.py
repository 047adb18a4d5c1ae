"""`make bench-changes`: merchant changes a second, and their end after kills and a PostgreSQL restart.

The clock runs from the first batch that is seen in the database to the last, and that first batch is not counted:
joining a group takes the embedded broker six seconds, which tell nothing of us.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "bench"))

import django

django.setup()

from django.conf import settings  # noqa: E402

from merchants.sync.following import BATCH  # noqa: E402
from tests.bench.stack import cpu_of  # noqa: E402
from tests.merchants.change_stream import (  # noqa: E402
    END_STATE,
    ChangeStream,
    ConsumerCluster,
    consumer_cluster,
    make_stream,
    send_with_kills,
)


def drain(home: ConsumerCluster, told: ChangeStream) -> tuple[float, float]:
    """Changes a second of a consumer that finds the whole story waiting, and its milliseconds of CPU for each."""
    home.send(told.messages)
    home.start()
    home.wait(lambda: home.heard(), "the consumer did not start")
    assert home.consumer
    started, used = time.monotonic(), sum(cpu_of(home.consumer.pid))
    home.wait(lambda: home.heard() == told.lsns, "not everything was kept")
    seconds, used = time.monotonic() - started, sum(cpu_of(home.consumer.pid)) - used
    home.stop()
    count = len(told.messages) - BATCH
    return count / seconds, 1000 * used / count


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-changes", description=__doc__)
    parser.add_argument("--changes", type=int, default=20000)
    parser.add_argument("--merchants", type=int, default=500)
    parser.add_argument("--news", type=float, default=0.1, help="the share of updates that change what we hold")
    parser.add_argument("--kills", type=int, default=3)
    wanted = parser.parse_args()
    root = Path(settings.LOCAL) / "changes"
    told = make_stream(wanted.changes, wanted.merchants, news=wanted.news)
    figures: dict[str, object] = {**vars(wanted), "repeated": wanted.changes - len(set(told.messages))}
    with consumer_cluster(root) as home:
        rate, cpu = drain(home, told)
        figures |= {"changesPerSecond": round(rate), "consumerCpuMsPerChange": round(cpu, 3)}
        figures["skipped"] = home.log.read_text().count("tax unchanged, SKIP")
        figures["right"] = home.ask(END_STATE) == told.end
    with consumer_cluster(root) as home:
        started = time.monotonic()
        send_with_kills(home, told, kills=wanted.kills)
        figures["secondsWithKillsAndARestart"] = round(time.monotonic() - started, 1)
        figures["rightAfterThem"] = home.ask(END_STATE) == told.end
        figures["quarantined"] = home.ask("SELECT count(*) FROM merchants_quarantine")[0][0]
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["right"] and figures["rightAfterThem"] else 1


if __name__ == "__main__":
    sys.exit(main())
