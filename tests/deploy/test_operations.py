"""docs/operations.md: its commands run, and its tables match the code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from config.base import clock
from config.environment import env, table
from config.processes import embedded
from config.settings import ROOT
from invoices.lifecycle import State
from invoices.models import Invoice
from merchants.sync import apply_changes
from tests import cast
from tests.config.test_deployment import GOOD
from tests.deploy import manifests

PAGE = ROOT / "docs" / "operations.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SHOWN = "\n".join(re.findall(r"^```\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))  # for a cluster, so not run here
APPS = [app for app in settings.INSTALLED_APPS if (ROOT / app).is_dir()]


@pytest.fixture
def shell(transactional_db: None, real_clock: None, provider: Any, settings: Any, tmp_path: Path) -> Any:
    """A shell in a fully configured deployment, with a failed order and a merchant from the platform."""
    settings.CREDENTIALS_KEYS = [GOOD["APP_ENV_INVOICE_CREDENTIALS_KEY"]]
    merchant = cast.seller("first-cafe", url=provider.url, symbol=f"C{clock.today_vn():%y}TAA")
    provider.add_tenants([cast.tenant(merchant)])
    line = {"name": "Cà phê", "quantity": 1, "unitPrice": 50000, "vatRate": "10%"}  # a rate that is valid in any year
    cast.failed(merchant, orderId="order-1", lines=[line], total=50000)
    info = merchant.tax_info
    tax = {"taxCode": info.tax_code, "legalName": info.legal_name, "address": info.address, "method": info.method}
    row = {"id": "first-cafe", "name": merchant.name, "status": "active", "metadata": {"tax": tax}}
    apply_changes.apply_envelope(
        {"op": "r", "before": None, "after": row, "source": {"lsn": 1, "ts_ms": 1}}, source="test"
    )
    ours, name = urlsplit(os.environ["DATABASE_URL"]), connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        **GOOD,
        "DATABASE_URL": ours._replace(path=f"/{name}").geturl(),
        "RESTORED_URL": ours._replace(path=f"/{name}_restored").geturl(),
        "BACKUP": str(tmp_path / "hoadon.dump"),
        "PATH": f"{embedded._postgres(settings.LOCAL).bin_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("HOADON_CLOCK", None)

    def run(commands: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", commands]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}_restored WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}_restored")
        yield run
        server.execute(f"DROP DATABASE {name}_restored WITH (FORCE)")


def test_every_command_of_the_page_does_what_it_says(shell: Any) -> None:
    output = ""
    for block in BLOCKS:
        done = shell(block)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        output += done.stdout
    assert Invoice.objects.get().state == State.QUEUED  # it was replayed
    assert re.search(r"^ first-cafe$", output, re.MULTILINE)  # it has no symbol for next year
    counted = shell(
        'psql "$RESTORED_URL" --tuples-only --command "SELECT count(*), snowflake() > 0 FROM invoices_invoice"'
    )
    assert counted.stdout.split() == ["1", "|", "t"], counted.stderr


def test_the_objects_of_the_kubectl_commands_exist_in_the_manifests() -> None:
    named = set(
        re.findall(
            r"\b(deploy|job|statefulset)[/ ](invoice[\w-]*)", SHOWN + " ".join(re.findall(r"`(kubectl.+?)`", TEXT))
        )
    )
    kinds = {"deploy": "Deployment", "job": "Job", "statefulset": "StatefulSet"}
    exist = {(part.raw["kind"], part.name) for part in manifests.pods()}
    assert len(named) >= 2
    assert {(kinds[kind], name) for kind, name in named} <= exist
    assert {name for kind, name in exist} <= set(re.findall(r"`(invoice[\w-]*)`", TEXT)) | {
        f"invoice-issuance-{p}" for p in range(settings.PARTITIONS)
    }


def test_the_environment_table_is_the_settings() -> None:
    written = re.search(r"<!-- environment -->\n\n(.*?)\n\n<!-- /environment -->", TEXT, re.DOTALL)
    assert written and written[1] == table(), "run: manage.py environment --write"


def test_the_log_markers_are_those_of_the_code() -> None:
    sources = "".join(path.read_text() for app in APPS for path in (ROOT / app).rglob("*.py"))
    rows = TEXT[TEXT.index("| marker |") : TEXT.index("## Security")]
    markers = re.findall(r"\[(\w+)\]", rows)
    assert len(markers) > 20
    assert not [marker for marker in markers if f"[{marker}]" not in sources]


def test_the_variables_and_links_of_the_page_exist() -> None:
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)`", TEXT)) <= set(env.variables)
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link
