"""A platform's stream of merchant changes, and a real consumer process with servers of its own to stop and restart."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from config.processes import broker
from tests import template
from tests.cast import tax_code_of
from tests.chaos import servers

WAIT_TIMEOUT = 120
SESSION = 6  # seconds. After each start and each kill a test waits as long until the broker lets the consumer join.
END_STATE = (
    "SELECT m.code, m.name, m.is_active, m.deleted_at IS NOT NULL, t.tax_code, t.address "
    "FROM merchants_merchant m JOIN merchants_taxinfo t ON t.merchant_id = m.id ORDER BY m.code"
)


@dataclass
class ChangeStream:
    """What the platform sends, in the order of its log, and the last row and LSN of each merchant."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)  # key, envelope
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    lsns: dict[str, int] = field(default_factory=dict)

    @property
    def end(self) -> list[tuple[Any, ...]]:
        rows = []
        for code, row in sorted(self.last.items()):
            tax = row["metadata"]["tax"]
            rows.append((code, row["name"], row["status"] == "active", row["gone"], tax["taxCode"], tax["address"]))
        return rows


def make_stream(
    changes: int, merchants: int, *, seed: int = 1, changed: float = 0.1, repeated: float = 0.05
) -> ChangeStream:
    """`changed`: the share of updates that change anything that we store; `repeated`: of messages that are sent twice.

    The merchants are interleaved; each merchant's changes keep their order, as Kafka guarantees for a key. A
    repetition may come much later.
    """
    dice, stream, sent = random.Random(seed), ChangeStream(), []
    while len(stream.messages) < changes:
        code = f"m-{dice.randrange(merchants):04d}"
        if sent and dice.random() < repeated:
            stream.messages.append(dice.choice(sent))
            continue
        lsn = stream.lsns[code] = 1000 + len(stream.messages)
        row, op = stream.last.get(code), "u"
        if row is None:
            number = int(code[2:]) + 1
            tax = {"taxCode": tax_code_of(number), "legalName": f"Công ty {code}", "method": "deduction"}
            row = {"id": code, "name": code, "status": "active", "gone": False, "metadata": {"tax": tax}}
            tax |= {"address": "1 Lê Lợi", "email": "", "phone": "", "communeCode": None}
            op = "c"
        elif row["gone"]:
            row, op = {**row, "gone": False}, "c"
        elif dice.random() < changed:
            row, op = _change(row, lsn, dice)
        stream.last[code] = {**row, "updatedAt": lsn}
        after = None if op == "d" else {name: value for name, value in stream.last[code].items() if name != "gone"}
        envelope = {"op": op, "before": {"id": code} if op == "d" else None, "after": after}
        envelope["source"] = {"lsn": lsn, "ts_ms": 1_795_399_200_000 + lsn}
        stream.messages.append((code, json.dumps(envelope).encode()))
        sent.append(stream.messages[-1])
    return stream


def _change(row: dict[str, Any], lsn: int, dice: random.Random) -> tuple[dict[str, Any], str]:
    what = dice.randrange(10)
    if what == 0:
        return {**row, "gone": True}, "d"
    if what == 1:
        return {**row, "status": "inactive" if row["status"] == "active" else "active"}, "u"
    if what < 5:
        return {**row, "name": f"Tên {lsn}"}, "u"
    return {**row, "metadata": {"tax": {**row["metadata"]["tax"], "address": f"{lsn} Lê Lợi"}}}, "u"


class ConsumerCluster:
    """A database of its own, a topic, and the consumer as a process."""

    def __init__(self, root: Path, topic: str) -> None:
        self.root, self.topic = root, topic
        root.mkdir(parents=True, exist_ok=True)
        self.bootstrap = broker.start(root)
        shutil.rmtree(root / "postgres", ignore_errors=True)
        template.copy_to(root)
        self.database = servers.start_postgres(root)
        self.env = {
            **os.environ,
            "DATABASE_URL": self.database,
            "HOADON_ENV": "development",
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_MERCHANT_TOPIC": topic,
            "KAFKA_CONSUMER_ID": f"group-{topic}",
            "KAFKA_SESSION_SECONDS": str(SESSION),
        }
        broker.create_topics(self.bootstrap, topic)
        self.log = root / "consumer.log"
        self.log.write_bytes(b"")
        self.consumer: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            command = [sys.executable, "manage.py", "follow_merchants"]
            self.consumer = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.consumer
        self.consumer.send_signal(number)
        return self.consumer.wait(30)

    def send(self, messages: list[tuple[str, bytes | None]]) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 2})
        for key, value in messages:
            producer.produce(self.topic, key=key, value=value)
            producer.poll(0)
        assert producer.flush(60) == 0

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def recorded_lsns(self) -> dict[str, int]:
        return dict(self.query("SELECT code, lsn FROM merchants_merchantchange WHERE lsn IS NOT NULL"))

    def wait(self, done: Any, why: str) -> None:
        until = time.monotonic() + WAIT_TIMEOUT
        while not done():
            alive = self.consumer is None or self.consumer.poll() is None
            if not alive or time.monotonic() > until:
                raise AssertionError(f"{why}; the consumer's log ends:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)  # each check opens a connection: more of them would slow the consumer down


@contextmanager
def consumer_cluster(root: Path) -> Iterator[ConsumerCluster]:
    cluster = ConsumerCluster(root, f"merchants-{time.time_ns()}")
    try:
        yield cluster
    finally:
        if cluster.consumer and cluster.consumer.poll() is None:
            cluster.stop(signal.SIGKILL)
        servers.stop_postgres(root)
        broker.stop(root)


def send_with_kills(cluster: ConsumerCluster, stream: ChangeStream, *, kills: int) -> None:
    """Send the stream in parts. While a part is being stored, kill the consumer or restart the database; in the last
    part, terminate the consumer.
    """
    parts = kills + 2
    size = -(-len(stream.messages) // parts)
    cluster.start()
    for at in range(parts):
        cluster.send(stream.messages[at * size : (at + 1) * size])
        first = 1000 + at * size  # the part's first LSN
        cluster.wait(
            lambda: max(cluster.recorded_lsns().values(), default=0) >= first,  # noqa: B023
            f"nothing of part {at} was stored",
        )
        if at == 1:
            servers.restart_postgres(cluster.root)
        else:
            last = at == parts - 1
            assert cluster.stop(signal.SIGTERM if last else signal.SIGKILL) == (0 if last else -signal.SIGKILL)
            cluster.start()
    cluster.wait(lambda: cluster.recorded_lsns() == stream.lsns, "not everything was stored")
