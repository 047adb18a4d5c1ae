"""The OpenAPI document is up to date, and the API conforms to it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from config.rest.openapi import openapi_document
from invoices.models import Invoice
from merchants.models import ProviderAccount
from tests import cast
from tests.api.client import token
from tests.claims.stages import with_files
from webhooks.models import WebhookEndpoint

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "openapi.json"
WRITE = "manage.py spectacular --format openapi-json --file docs/openapi.json"


def test_the_committed_document_is_up_to_date(client: Client) -> None:
    response = client.get("/v1/api/openapi.json")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert json.loads(COMMITTED.read_text()) == response.json(), f"run {WRITE}"
    assert response.json()["openapi"].startswith("3.1")


def test_every_operation_has_a_description_and_names_its_permission() -> None:
    for path, operations in json.loads(openapi_document())["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            if operation["security"]:
                assert "Needs the permission `" in operation["description"], (method, path)
                assert {"401", "403"} <= operation["responses"].keys(), (method, path)


def test_the_docs_load_nothing_from_other_hosts(client: Client) -> None:
    page = client.get("/v1/api/docs").content.decode()
    script = client.get("/v1/api/docs?script=").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page and "openapi.json" in script
    assert "http://" not in page + script and "https://" not in page + script
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert client.get(f"/static/drf_spectacular_sidecar/swagger-ui-dist/{asset}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_api_conforms_to_its_document(live_server: Any, settings: Any, media: Any, tmp_path: Path) -> None:
    """schemathesis, all checks: no 5xx, no response outside the document, no invalid request accepted.

    The coverage phase tries every boundary of every field and takes minutes: run it with SCHEMATHESIS_PHASES=coverage.
    """
    settings.RATES = dict.fromkeys(settings.RATES, 10**9)
    hints = stage()
    config = tmp_path / "schemathesis.toml"
    config.write_text((ROOT / "schemathesis.toml").read_text() + hints)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(COMMITTED)]
    command += ["--url", live_server.url, "--header", f"Authorization: Bearer {token()}", "--checks", "all"]
    command += ["--phases", os.environ.get("SCHEMATHESIS_PHASES", "examples,fuzzing,stateful")]
    command += ["--max-examples", os.environ.get("SCHEMATHESIS_EXAMPLES", "6"), "--seed", "20261123", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def stage() -> str:
    """Rows of every kind, and their keys where schemathesis would otherwise meet only 404."""
    merchant = cast.seller("m-1")
    invoice = with_files(cast.issued(merchant, number="1"))
    endpoint = WebhookEndpoint.objects.create(merchant=merchant, url="https://a.example/h")
    request = invoice.requests.first()
    keys = {
        "invoiceId": invoice.pk,
        "invoiceRequestId": request.pk if request else 1,
        "accountId": ProviderAccount.objects.get().pk,
        "endpointId": endpoint.pk,
        "merchantId": merchant.code,
        "token": Invoice.objects.get(pk=cast.waiting(merchant).pk).claim_token,
    }
    return "\n[parameters]\n" + "".join(f'"path.{name}" = "{key}"\n' for name, key in keys.items())
