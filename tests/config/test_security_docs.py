"""The commands in docs/security.md work as written."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from config.base import webhook_secrets
from config.settings import ROOT
from tests import cast
from tests.config.test_deployment import GOOD

DOCS = (ROOT / "docs" / "security.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def shell(transactional_db: None):
    """Runs commands with a complete production configuration, on the test's database."""
    ours = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {
        **os.environ,
        **GOOD,
        "DATABASE_URL": ours,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("HOADON_CLOCK", None)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", "-c", command], env=environment, cwd=ROOT, capture_output=True, text=True)

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(shell, command: str) -> None:
    if "order-7" in command:
        cast.waiting(orderId="order-7")
    done = shell(command)
    assert done.returncode == 0, done.stderr
    if "openssl" in command:
        assert webhook_secrets.size(done.stdout.strip()) == 32
    if command.endswith("rotate_credentials_key"):
        assert "the previous one can be removed" in done.stdout


def test_the_page_has_nine_commands_and_names_only_existing_variables() -> None:
    assert len(COMMANDS) == 9
    settings = (ROOT / "config" / "settings.py").read_text()
    for name in set(re.findall(r"`([A-Z][A-Z_]{3,})`", DOCS)):
        assert f'"{name}"' in settings, name
