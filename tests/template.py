"""A PostgreSQL data directory with our tables and the legal rules: built once, then servers start from copies of it.

Its name contains a key of everything that the tables are made from, so a changed schema gets another directory.
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import psycopg

from config.processes import embedded
from tests.chaos import servers

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("*/migrations/*.py", "fixtures/legal_rules.json", "requirements-dev.lock")
KEY = sha256(b"".join(path.read_bytes() for glob in SOURCES for path in sorted(ROOT.glob(glob)))).hexdigest()[:8]
LOCAL = ROOT / ".local" / "test" / KEY
DATABASE = f"template_{KEY}"  # a second database, to which nothing connects: PostgreSQL copies no other
MIGRATE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
call_command("loaddata", "legal_rules", verbosity=0)
"""


def copy_to(root: Path) -> None:
    """Give a server without data its database `hoadon`, with tables."""
    source = _build() / "postgres"
    root.mkdir(parents=True, exist_ok=True)
    with embedded._locked(root):
        if not (root / "postgres").exists():
            subprocess.run(["cp", "-a", source, root / "postgres"], check=True)  # the owner stays


def _build() -> Path:
    done, unfinished = LOCAL / "template", LOCAL / "unfinished"
    LOCAL.mkdir(parents=True, exist_ok=True)
    with embedded._locked(LOCAL.parent):
        if not done.exists():
            _remove_other_schemas()
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            url = servers.start_postgres(unfinished)
            environment = {
                **os.environ, "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:9", "HOADON_ENV": "development",
                "DJANGO_SETTINGS_MODULE": "config.settings",
            }  # fmt: skip
            subprocess.run([sys.executable, "-W", "ignore", "-c", MIGRATE], env=environment, cwd=ROOT, check=True)
            with psycopg.connect(url.replace("/hoadon?", "/postgres?"), autocommit=True) as server:
                server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE hoadon")
            servers.stop_postgres(unfinished, "fast")
            for file in ("log", ".handle_pids.json"):
                (unfinished / "postgres" / file).unlink(missing_ok=True)
            unfinished.rename(done)
    return done


def _remove_other_schemas() -> None:
    for other in LOCAL.parent.iterdir():
        users = other / "users"
        if other != LOCAL and users.is_dir() and not any(embedded._alive(int(user.name)) for user in users.iterdir()):
            shutil.rmtree(other)
