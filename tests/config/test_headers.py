"""What browsers are told, and that our pages obey it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests import cast
from tests.browser import TIMEOUT
from tests.config.test_deployment import GOOD, manage


def policy_of(answer: Any) -> dict[str, str]:
    """Directive and its sources."""
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in parts}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/claims/unknown", "/v1/api/nothing", "/static/admin/css/base.css"])
def test_every_answer_says_what_may_run_and_who_may_frame_it(client: Client, path: str) -> None:
    answer = client.get(path)
    policy = policy_of(answer)
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    for directive in ("default-src", "script-src"):
        assert "unsafe" not in policy.get(directive, "") and "*" not in policy.get(directive, "")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] in ("same-origin", "no-referrer")


@pytest.mark.django_db
def test_the_console_is_never_framed_nor_cached(client: Client) -> None:
    answer = client.get("/admin/login/")
    assert answer["X-Frame-Options"] == "DENY"
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_a_claim_page_keeps_its_own_stricter_policy(client: Client) -> None:
    answer = client.get(f"/claims/{cast.waiting().claim_token}")
    assert policy_of(answer)["default-src"] == "'none'"
    assert answer["Referrer-Policy"] == "no-referrer" and "noindex" in answer["X-Robots-Tag"]


def test_behind_https_the_browser_is_told_to_stay_there_and_cookies_never_leave_it() -> None:
    ask = """
from django.conf import settings
from django.test import RequestFactory
from django.core.handlers.wsgi import WSGIHandler
request = RequestFactory().get("/v1/api/nothing", headers={"X-Forwarded-Proto": "https", "Host": "invoices.example"})
print("HSTS", WSGIHandler().get_response(request)["Strict-Transport-Security"])
print("COOKIES", settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY,
      settings.SESSION_COOKIE_AGE)
"""
    told = manage("shell", "-v", "0", "-c", ask, **GOOD)
    assert "HSTS max-age=31536000" in told.stdout, told.stderr
    assert "COOKIES True True True 28800" in told.stdout


@pytest.fixture
def desk(browser: Any, live_server: Any) -> Iterator[Page]:
    """A page on which every complaint of the browser is a failure."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url} {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"{page.url} {error}"))
    page.route("**/favicon.ico", lambda route: route.fulfill(body=b""))  # the console has none, which is no violation
    yield page
    context.close()
    assert said == []


@pytest.mark.usefixtures("transactional_db")
class TestInABrowser:
    def test_an_operator_signs_in_and_walks_the_console(self, desk: Page) -> None:
        User.objects.create_superuser("root", password="right")
        invoice = cast.issued(buyer=cast.COMPANY)
        account = invoice.account
        desk.goto("/admin/")
        desk.get_by_label("Username").fill("root")
        desk.get_by_label("Password").fill("right")
        desk.get_by_role("button", name="Log in").click()
        expect(desk.get_by_role("heading", name="Today by outcome")).to_be_visible()
        pages = [
            "invoices_invoice_changelist", "merchants_provideraccount_changelist", "merchants_provideraccount_add",
            "merchants_taxinfo_add", "webhooks_webhookendpoint_add", "webhooks_webhookevent_changelist",
            "config_configuration_add", "auth_group_add", "auth_user_changelist",
        ]  # fmt: skip
        for name in pages:
            assert desk.goto(reverse(f"admin:{name}")).status == 200
        desk.goto(reverse("admin:merchants_provideraccount_add"))
        desk.get_by_role("combobox").first.click()  # drawn by a script of the console's own
        expect(desk.get_by_role("option", name=invoice.merchant.name)).to_be_visible()
        for name, row in (
            ("invoices_invoice_change", invoice), ("invoices_invoice_history", invoice),
            ("merchants_provideraccount_change", account), ("merchants_provideraccount_history", account),
            ("merchants_merchant_change", invoice.merchant), ("merchants_merchant_history", invoice.merchant),
        ):  # fmt: skip
            assert desk.goto(reverse(f"admin:{name}", args=[row.pk])).status == 200

    def test_the_guard_sees_a_violation(self, browser: Any, live_server: Any) -> None:
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{live_server.url}/admin/login/")
        page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.ran = 1'")
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in text for text in said)
        page.close()

    def test_a_claim_page_raises_no_complaint(self, desk: Page) -> None:
        assert desk.goto(f"/claims/{cast.waiting().claim_token}").status == 200
        assert desk.goto(f"/claims/{cast.issued().claim_token}").status == 200

    def test_the_api_s_documentation_is_drawn(self, desk: Page) -> None:
        desk.goto(reverse("docs"))
        expect(desk.get_by_text("/v1/api/openapi.json")).to_be_visible()
