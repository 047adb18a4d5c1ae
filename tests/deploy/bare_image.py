"""The closest we get to the image without a container engine: its files, packages and variables, and no others."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from config.settings import ROOT

IMAGE = (ROOT / "Dockerfile").read_text()
LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True)
class BareImage:
    """Runs the image's entry point with a manifest's arguments, in `folder`, with `environment` only."""

    python: Path
    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        entry = re.search(r'^ENTRYPOINT \["python", "(.+?)", "(.+?)"\]$', IMAGE, re.MULTILINE)
        assert entry
        return [str(self.python), *entry.groups(), *arguments]

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
        log = open(self.folder / f"{'-'.join(arguments)}.log".replace("/", "-"), "ab")  # noqa: SIM115  (the child's)
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [self.python, "manage.py", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)


def build(folder: Path, environment: dict[str, str]) -> BareImage:
    """Do what the Dockerfile does, without root: install the locked packages, copy the files, collect and compile."""
    app = folder / "app"
    for path in _allowed_files():
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, app / path)
    python = _packages() / "bin" / "python"
    own = {"PATH": f"{python.parent}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    collect = re.search(r"^RUN (env .+?collectstatic.+?) \\$", IMAGE.replace(" \\\n    /venv", " /venv"), re.MULTILINE)
    assert collect and "-m compileall -q /venv /app" in IMAGE
    subprocess.run(collect[1].replace("/venv/bin/python", str(python)).split(), cwd=app, env=own, check=True)
    subprocess.run([python, "-m", "compileall", "-q", app], check=True)
    settings = dict(re.findall(r"\b(HOADON_ENV|MEDIA_ROOT|PYTHONUNBUFFERED)=(\S+)", IMAGE))
    return BareImage(python, app, {**own, **settings, "MEDIA_ROOT": str(folder / "files"), **environment})


def _packages() -> Path:
    """A virtual environment of the locked packages, created once for each lock file."""
    home = ROOT / ".local" / "bare" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    if not (home / "ready").exists():
        shutil.rmtree(home.parent, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        sync = [
            "uv",
            "pip",
            "sync",
            "-q",
            "--python",
            home / "bin" / "python",
            "--compile-bytecode",
            "--require-hashes",
        ]
        subprocess.run([sys.executable, "-m", *sync, "--only-binary", ":all:", LOCK], check=True)
        (home / "ready").touch()
    return home


def _allowed_files() -> list[Path]:
    """Committed files that .dockerignore allows."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = tuple(line[1:] for line in lines if line.startswith("!"))
    refused = tuple(f"{line}/" for line in lines if line[0] not in "#!*")
    listed = subprocess.run(["git", "ls-files", "--", *allowed], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in listed.stdout.splitlines() if not name.startswith(refused)]
