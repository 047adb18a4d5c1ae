"""The commands in docs/api.md work as written, against a live server."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from invoices.models import Invoice

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_page_work(live_server: Any, real_clock: None) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    script = "\n".join(blocks).replace("http://127.0.0.1:31140", live_server.url)
    command = ["bash", "-euo", "pipefail", "-c", script]
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    bodies, statuses = [json.loads(line) for line in lines[::2]], [int(line) for line in lines[1::2]]
    assert statuses == [200, 201, 200, 201, 201, 200, 409, 200], done.stdout
    invoice = Invoice.objects.get()
    assert bodies[0] == {"items": [], "nextCursor": None}
    assert bodies[4]["invoiceId"] == bodies[5]["invoiceId"] == str(invoice.pk)
    assert bodies[6]["code"] == "order_conflict"
    assert bodies[7] == {"acted": True, "state": "QUEUED", "why": "it is due: a worker is woken"}
    assert invoice.state == "QUEUED"
