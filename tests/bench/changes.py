"""`make bench-changes`: merchant changes a second, and their end state after kills and a PostgreSQL restart.

The time runs from the first batch in the database to the last; the first batch is not counted, because joining a group
takes six seconds at the embedded broker.
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
from tests.bench.stack import cpu_times  # noqa: E402
from tests.merchants.change_stream import (  # noqa: E402
    END_STATE,
    ChangeStream,
    ConsumerCluster,
    consumer_cluster,
    make_stream,
    send_with_kills,
)


def drain(cluster: ConsumerCluster, stream: ChangeStream) -> tuple[float, float]:
    """Changes a second of a consumer that starts with the whole stream waiting, and its CPU milliseconds per change."""
    cluster.send(stream.messages)
    cluster.start()
    cluster.wait(lambda: cluster.recorded_lsns(), "the consumer did not start")
    assert cluster.consumer
    started, used = time.monotonic(), sum(cpu_times(cluster.consumer.pid))
    cluster.wait(lambda: cluster.recorded_lsns() == stream.lsns, "not everything was stored")
    seconds, used = time.monotonic() - started, sum(cpu_times(cluster.consumer.pid)) - used
    cluster.stop()
    count = len(stream.messages) - BATCH
    return count / seconds, 1000 * used / count


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-changes", description=__doc__)
    parser.add_argument("--changes", type=int, default=20000)
    parser.add_argument("--merchants", type=int, default=500)
    parser.add_argument("--changed", type=float, default=0.1, help="share of updates that change what we store")
    parser.add_argument("--kills", type=int, default=3)
    wanted = parser.parse_args()
    root = Path(settings.LOCAL) / "changes"
    stream = make_stream(wanted.changes, wanted.merchants, changed=wanted.changed)
    results: dict[str, object] = {**vars(wanted), "repeated": wanted.changes - len(set(stream.messages))}
    with consumer_cluster(root) as cluster:
        rate, cpu = drain(cluster, stream)
        results |= {"changesPerSecond": round(rate), "consumerCpuMsPerChange": round(cpu, 3)}
        results["skipped"] = cluster.log.read_text().count("tax unchanged, SKIP")
        results["endStateRight"] = cluster.query(END_STATE) == stream.end
    with consumer_cluster(root) as cluster:
        started = time.monotonic()
        send_with_kills(cluster, stream, kills=wanted.kills)
        results["secondsWithKillsAndARestart"] = round(time.monotonic() - started, 1)
        results["endStateRightAfterKills"] = cluster.query(END_STATE) == stream.end
        results["quarantined"] = cluster.query("SELECT count(*) FROM merchants_quarantine")[0][0]
    sys.stdout.write(json.dumps(results, indent=2) + "\n")
    return 0 if results["endStateRight"] and results["endStateRightAfterKills"] else 1


if __name__ == "__main__":
    sys.exit(main())
