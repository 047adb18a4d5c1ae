"""`make screenshots`: the screenshots in docs/images, of a seeded database of its own. One line per screenshot."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOADON_LOCAL", str(Path(__file__).resolve().parents[1] / ".local" / "screenshots"))
os.environ["LOG_LEVEL"] = "WARNING"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs an event loop in this thread

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from config.base import clock  # noqa: E402
from config.processes.run_modes import api  # noqa: E402
from invoices.audit import Event, Outcome  # noqa: E402
from invoices.dev.demo import setup  # noqa: E402
from invoices.dev.demo.processes import Processes, free_port  # noqa: E402
from invoices.lifecycle import State  # noqa: E402
from invoices.models import Invoice  # noqa: E402
from invoices.operations import bulk, bulk_worker  # noqa: E402
from tests import DAY, cast  # noqa: E402
from tests.browser import CHROMIUM, CHROMIUM_ARGS  # noqa: E402
from tests.invoices.admin.action_rows import dead_letters  # noqa: E402

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP, PHONE, LAPTOP = {"width": 1280, "height": 900}, {"width": 375, "height": 812}, {"width": 1024, "height": 768}


def main() -> int:
    if not CHROMIUM:
        sys.exit("No Chromium on this machine: apt-get install chromium")
    clock.start_at(10, DAY)
    setup.use_own_databases("hoadon_screenshots")
    setup.create_tables()
    call_command("seed", invoices=20_000, merchants=40, verbosity=0)
    waiting, refused, run = cast.waiting(cast.seller(name="Cà phê Sương Mai")), refused_yesterday(), dry_run()
    with Processes(settings.LOCAL / "logs") as processes:
        port = free_port(settings.PORT)
        processes.start("api", *api(port))
        processes.wait_for("api", f"http://127.0.0.1:{port}/admin/login/")
        with browser(f"http://127.0.0.1:{port}") as page:
            for scheme in ("light", "dark"):
                shoot(page, "/admin/", f"home-{scheme}", DESKTOP, scheme)
                shoot(page, f"/claims/{waiting.claim_token}", f"claim-phone-{scheme}", PHONE, scheme)
                shoot(page, f"/claims/{waiting.claim_token}", f"claim-desktop-{scheme}", LAPTOP, scheme)
            shoot(page, reverse("admin:invoices_invoice_change", args=[refused.pk]), "invoice", DESKTOP)
            action = reverse("admin:invoices_invoice_action", args=["replay"])
            shoot(page, f"{action}?row={refused.pk}", "replay-diff", DESKTOP)
            shoot(page, reverse("admin:invoices_bulkrun_change", args=[run.pk]), "bulk-dry-run", DESKTOP)
    return 0


def refused_yesterday() -> Invoice:
    """Refused yesterday, so that its replay is dated today and its preview shows a difference."""
    yesterday = (clock.now() - timedelta(days=1)).isoformat()
    invoice = cast.sending(cast.seller(name="Phở Sương Sớm"), buyer=cast.COMPANY, paidAt=yesterday)
    changes = {
        "failure": "refused", "failure_code": "TAX_CODE_INVALID", "failure_message": "The tax code is unknown.",
        "exposed_at": None, "exposed_by": None,
    }  # fmt: skip
    return cast.move_to(invoice, State.FAILED, Event.REFUSED, actor="worker", outcome=Outcome.FAILED, **changes)


def dry_run() -> Any:
    """A bulk run whose preview is complete and not yet confirmed."""
    user = User.objects.create_superuser("thu")
    dead_letters(80)
    failed = Invoice.objects.filter(state=State.FAILED)
    run = bulk.create_run("replay", failed, user_id=user.pk, selection="state=FAILED")
    while run.state == run.State.PREVIEWING:
        bulk_worker.advance_runs()
        run.refresh_from_db()
    return run


@contextmanager
def browser(address: str) -> Iterator[Page]:
    """A page that is signed in to the console and shows the claim page in Vietnamese."""
    client = Client()
    client.force_login(User.objects.get(username="thu"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        context = chromium.new_context(base_url=address, locale="vi-VN")
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}])
        yield context.new_page()
        chromium.close()


def shoot(page: Page, path: str, name: str, size: Any, scheme: Any = "light") -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=size is not DESKTOP)


if __name__ == "__main__":
    sys.exit(main())
