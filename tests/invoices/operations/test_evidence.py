"""The evidence of an order, verified only with the commands in its README."""

import re
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command

from tests import cast
from tests.claims.stages import with_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def unpacked(tmp_path: Path, media: Any) -> Path:
    invoice = with_files(cast.issued(orderId="order-7", buyer=cast.COMPANY))
    call_command("evidence", invoice.order_id, "--to", str(tmp_path / "evidence.zip"))
    with ZipFile(tmp_path / "evidence.zip") as archive:
        archive.extractall(tmp_path / "it")
    return tmp_path / "it"


def verified(folder: Path) -> str:
    (script,) = re.findall(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True).stdout


def test_it_contains_document_files_and_audit_and_can_be_verified(unpacked: Path) -> None:
    assert (unpacked / "1" / "invoice.pdf").read_bytes() == b"%PDF-1.7"
    assert cast.COMPANY["taxCode"] in (unpacked / "1" / "document.json").read_text()
    assert verified(unpacked).splitlines() == [
        "every file is unchanged",
        "1/ the chain ends at the invoice's head",
        "1/ the document is the one in the audit",
    ]


@pytest.mark.parametrize("name", ["audit/0002.json", "audit/hashes", "audit/head", "document.json", "invoice.xml"])
def test_a_changed_byte_is_found_in_any_file(unpacked: Path, name: str) -> None:
    whole = verified(unpacked)
    content = bytearray((unpacked / "1" / name).read_bytes())
    content[5] ^= 1
    (unpacked / "1" / name).write_bytes(content)
    output = verified(unpacked)
    assert "every file is unchanged" not in output
    (unpacked / "SHA256SUMS").write_bytes(
        subprocess.run(
            "find . -type f ! -name SHA256SUMS -exec sha256sum {} +", shell=True, cwd=unpacked, capture_output=True
        ).stdout
    )
    if name != "invoice.xml":  # the XML has its own signatures
        assert verified(unpacked) != whole, "also with recomputed checksums"


def test_an_unknown_order_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="unknown"):
        call_command("evidence", "order-8", "--to", str(tmp_path / "a.zip"))
    assert not list(tmp_path.iterdir())
