"""`make bench-console`: the console's pages at 10,000 and 1,000,000 invoices, over HTTP. Keeps its databases."""

import argparse
import http.client
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "console"))
os.environ.setdefault("LOG_LEVEL", "WARNING")  # no line per request between the results

import django

django.setup()

import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from config.processes.run_modes import api  # noqa: E402
from invoices.dev.demo.processes import Processes, free_port  # noqa: E402
from invoices.models import Invoice  # noqa: E402
from tests.bench.results import percentile  # noqa: E402
from tests.console.pages import PageVisit, full_scans, page_visits, queries_of  # noqa: E402

LIMIT = 300  # milliseconds of server time that a page may take
TOKEN = "b" * 64
console = Console()


class ConsoleServer:
    """A database of one size, the API process on it, and an operator's session."""

    def __init__(self, processes: Processes, database_url: str, size: int) -> None:
        self.name = f"console_{size}"
        with psycopg.connect(database_url, autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.name]).fetchone():
                admin.execute(f"CREATE DATABASE {self.name}")
        connection.close()
        connection.settings_dict["NAME"] = self.name
        os.environ["DATABASE_URL"] = urlsplit(database_url)._replace(path=f"/{self.name}").geturl()
        call_command("migrate", verbosity=0)
        if (missing := size - Invoice.objects.count()) > 0:
            call_command("seed", invoices=missing)
        self.client = Client()
        self.client.force_login(User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)[0])
        port = free_port(settings.PORT)
        processes.start(self.name, *api(port))
        processes.wait_for(self.name, f"http://127.0.0.1:{port}/admin/login/")
        self.http = http.client.HTTPConnection("127.0.0.1", port)
        session = self.client.cookies[settings.SESSION_COOKIE_NAME].value
        self.headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={TOKEN}"}

    def time(self, visit: PageVisit) -> float:
        """Milliseconds from the request to the last byte of the response."""
        body, headers = None, self.headers
        if visit.typed:
            body = urlencode({"q": visit.typed, "csrfmiddlewaretoken": TOKEN})
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        began = time.perf_counter()
        self.http.request("POST" if body else "GET", visit.path, body, headers)
        answer = self.http.getresponse()
        answer.read()
        took = 1000 * (time.perf_counter() - began)
        if answer.status not in (200, 302) or "/login/" in (answer.headers["Location"] or ""):
            raise RuntimeError(f"{visit} responds {answer.status}")
        return took


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-console", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args()
    if not settings.DEVELOPMENT:
        sys.exit("The bench creates databases of generated invoices: it runs in development only.")
    database_url, problems = os.environ["DATABASE_URL"], []
    timings: dict[str, list[tuple[int, float, float]]] = {}
    for size in wanted.sizes:
        with Processes(settings.LOCAL / "logs") as processes:
            server = ConsoleServer(processes, database_url, size)
            for visit in page_visits():
                queries_of(server.client, visit)  # from now on content types are cached
                statements = queries_of(server.client, visit)
                if size == max(wanted.sizes):  # a small table may be read whole
                    problems += [f"{visit.page} reads {whole}" for whole in full_scans(statements)]
                times = sorted([server.time(visit) for _ in range(wanted.rounds + 2)][2:])
                one = (len(statements), percentile(times, 50), percentile(times, 95))
                timings.setdefault(visit.page, []).append(one)
    show(wanted.sizes, timings)
    for page, rows in timings.items():
        if len({queries for queries, *_ in rows}) > 1:
            problems.append(f"{page} needs more queries with more invoices")
        if max(p95 for *_, p95 in rows) > LIMIT:
            problems.append(f"{page} takes longer than {LIMIT} ms")
    for one in problems:
        console.print(f"[red]{one}[/red]", highlight=False)
    return bool(problems)


def show(sizes: list[int], timings: dict[str, list[tuple[int, float, float]]]) -> None:
    table = Table(title="The console over HTTP: queries, milliseconds", title_justify="left")
    table.add_column("Page")
    for size in sizes:
        for head in (f"queries, {size:,}", "p50", "p95"):
            table.add_column(head, justify="right")
    for page, rows in timings.items():
        cells = [cell for queries, p50, p95 in rows for cell in (f"{queries}", f"{p50:.0f}", f"{p95:.0f}")]
        table.add_row(page, *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
