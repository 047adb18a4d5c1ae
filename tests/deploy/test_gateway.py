"""deploy/nginx.conf: a real nginx with our file, in front of a real API with a deployment's environment."""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from config.processes.run_modes import manage
from config.settings import ROOT
from invoices.dev.demo.processes import Processes, free_port
from tests.chaos.cluster import wait_until
from tests.config.test_deployment import GOOD

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.skipif(
        not NGINX or not shutil.which("openssl"), reason="no nginx here; `apt-get install nginx` brings it"
    ),
    pytest.mark.django_db,
]
HOST = GOOD["ALLOWED_HOSTS"]
TOKEN = "Zm9yLXRoZS1idXllci1hbG9uZQ"


@dataclass(frozen=True)
class Gateway:
    processes: Processes
    plain: int
    tls: int
    log: Path

    def request(self, method: str, path: str, body: bytes = b"", *, plain: bool = False, **headers: str) -> Any:
        unchecked = ssl._create_unverified_context()  # the certificate is self-signed
        connect = http.client.HTTPConnection if plain else http.client.HTTPSConnection
        more = {} if plain else {"context": unchecked}
        http_connection = connect("127.0.0.1", self.plain if plain else self.tls, timeout=20, **more)
        http_connection.request(method, path, body, {"Host": HOST, **headers})
        return http_connection.getresponse()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: Any, django_db_setup: None, django_db_blocker: Any) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    upstream, plain, tls = free_port(0), free_port(0), free_port(0)
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    pair = ["-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"]
    subprocess.run([*make.split(), *pair], check=True, capture_output=True)
    config = (ROOT / "deploy" / "nginx.conf").read_text()
    for ours, here in (
        ("127.0.0.1:31140", f"127.0.0.1:{upstream}"),
        ("listen 8080;", f"listen 127.0.0.1:{plain};"),
        ("listen 8443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
        ("/etc/nginx/tls/", f"{folder}/"),
        ("/tmp/nginx", f"{folder}/nginx"),
        ("/dev/stdout", f"{folder}/access.log"),
    ):
        assert ours in config
        config = config.replace(ours, here)
    (folder / "nginx.conf").write_text(config)
    nginx = [NGINX, "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", "daemon off; user root;"]
    tried = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0 and "warn" not in tried.stderr.replace("stderr warn", ""), tried.stderr
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {**GOOD, "DATABASE_URL": database, "PORT": str(upstream), "API_HOST": "127.0.0.1"}
    with Processes(folder) as processes:
        given = [f"{name}={value}" for name, value in environment.items()]
        processes.start("api", "env", "-u", "HOADON_CLOCK", *given, *manage("run", "api"))
        processes.start("nginx", *nginx)
        processes.wait_for("api", f"http://127.0.0.1:{upstream}/admin/login/")
        wait_until(lambda: listens(tls))
        yield Gateway(processes, plain, tls, folder / "access.log")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_clients_forwarding_headers_are_dropped_and_the_gateways_are_trusted(gateway: Gateway) -> None:
    response = gateway.request("GET", "/admin/login/", **{"X-Forwarded-Proto": "http"})
    assert response.status == 200
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "nginx/" not in response.headers["Server"]
    assert gateway.request("GET", "/admin/login/", Host="elsewhere.example").status == 400


def test_plain_http_is_redirected_to_https(gateway: Gateway) -> None:
    response = gateway.request("GET", "/claims/x", plain=True)
    assert (response.status, response.headers["Location"]) == (301, f"https://{HOST}/claims/x")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics?x=1", "//metrics", "/x/../metrics"])
def test_metrics_are_not_public(gateway: Gateway, path: str) -> None:
    assert gateway.request("GET", path).status == 403


def test_a_body_of_a_mebibyte_passes_and_a_larger_one_does_not(gateway: Gateway) -> None:
    path, kind = "/v1/api/webhooks/internal", {"Content-Type": "application/json"}
    assert gateway.request("POST", path, b"x" * 1024 * 1024, **kind).status == 401  # by the API: it is not signed
    assert gateway.request("POST", path, b"x" * (1024 * 1024 + 1), **kind).status == 413


def test_the_gateways_log_contains_no_claim_token(gateway: Gateway) -> None:
    for path in (f"/claims/{TOKEN}", f"/v1/api/claims/{TOKEN}?lang=vi", f"/claims/{TOKEN}/files/pdf"):
        assert gateway.request("GET", path).status == 404
    log = gateway.log.read_text()
    assert TOKEN not in log and "lang=vi" not in log
    assert {"/claims/…", "/v1/api/claims/…"} <= set(re.findall(r'path="([^"]*)"', log))


def test_without_an_api_the_gateway_responds_502_at_once(gateway: Gateway) -> None:
    assert gateway.processes.stop("api") == 0
    assert gateway.request("GET", "/admin/login/").status == 502
