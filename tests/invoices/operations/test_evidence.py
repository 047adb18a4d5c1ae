"""The evidence of an order: verified as its README says, with nothing of ours."""

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


def test_it_holds_document_files_and_audit_and_proves_itself(unpacked: Path) -> None:
    assert (unpacked / "1" / "invoice.pdf").read_bytes() == b"%PDF-1.7"
    assert cast.COMPANY["taxCode"] in (unpacked / "1" / "document.json").read_text()
    assert verified(unpacked).splitlines() == [
        "every file is as it was written",
        "1/ the chain ends where its invoice says",
        "1/ the document is the one that the audit tells of",
    ]


@pytest.mark.parametrize("name", ["audit/0002.json", "audit/hashes", "audit/head", "document.json", "invoice.xml"])
def test_one_byte_is_found_in_any_file(unpacked: Path, name: str) -> None:
    whole = verified(unpacked)
    content = bytearray((unpacked / "1" / name).read_bytes())
    content[5] ^= 1
    (unpacked / "1" / name).write_bytes(content)
    told = verified(unpacked)
    assert "every file is as it was written" not in told
    (unpacked / "SHA256SUMS").write_bytes(
        subprocess.run(
            "find . -type f ! -name SHA256SUMS -exec sha256sum {} +", shell=True, cwd=unpacked, capture_output=True
        ).stdout
    )
    if name != "invoice.xml":  # that one carries signatures of its own
        assert verified(unpacked) != whole, "and with sums that were written anew as well"


def test_an_order_that_nobody_knows_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Nothing is known"):
        call_command("evidence", "order-8", "--to", str(tmp_path / "a.zip"))
    assert not list(tmp_path.iterdir())
