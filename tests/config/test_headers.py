"""The security headers, and that our pages comply with them."""

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


def policy_of(response: Any) -> dict[str, str]:
    """Sources by directive."""
    parts = (part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in parts}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/claims/unknown", "/v1/api/nothing", "/static/admin/css/base.css"])
def test_every_response_has_a_content_security_policy(client: Client, path: str) -> None:
    response = client.get(path)
    policy = policy_of(response)
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    for directive in ("default-src", "script-src"):
        assert "unsafe" not in policy.get(directive, "") and "*" not in policy.get(directive, "")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] in ("same-origin", "no-referrer")


@pytest.mark.django_db
def test_the_console_cannot_be_framed_or_cached(client: Client) -> None:
    response = client.get("/admin/login/")
    assert response["X-Frame-Options"] == "DENY"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_a_claim_page_keeps_its_own_stricter_policy(client: Client) -> None:
    response = client.get(f"/claims/{cast.waiting().claim_token}")
    assert policy_of(response)["default-src"] == "'none'"
    assert response["Referrer-Policy"] == "no-referrer" and "noindex" in response["X-Robots-Tag"]


def test_with_https_hsts_is_sent_and_cookies_are_secure() -> None:
    code = """
from django.conf import settings
from django.test import RequestFactory
from django.core.handlers.wsgi import WSGIHandler
request = RequestFactory().get("/v1/api/nothing", headers={"X-Forwarded-Proto": "https", "Host": "invoices.example"})
print("HSTS", WSGIHandler().get_response(request)["Strict-Transport-Security"])
print("COOKIES", settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY,
      settings.SESSION_COOKIE_AGE)
"""
    done = manage("shell", "-v", "0", "-c", code, **GOOD)
    assert "HSTS max-age=31536000" in done.stdout, done.stderr
    assert "COOKIES True True True 28800" in done.stdout


@pytest.fixture
def page(browser: Any, live_server: Any) -> Iterator[Page]:
    """A page on which every error in the browser's console fails the test."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(f"{page.url} {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(f"{page.url} {error}"))
    page.route("**/favicon.ico", lambda route: route.fulfill(body=b""))  # the console has none; that is no violation
    yield page
    context.close()
    assert errors == []


@pytest.mark.usefixtures("transactional_db")
class TestInABrowser:
    def test_an_operator_signs_in_and_walks_the_console(self, page: Page) -> None:
        User.objects.create_superuser("root", password="right")
        invoice = cast.issued(buyer=cast.COMPANY)
        account = invoice.account
        page.goto("/admin/")
        page.get_by_label("Username").fill("root")
        page.get_by_label("Password").fill("right")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Today by outcome")).to_be_visible()
        pages = [
            "invoices_invoice_changelist", "merchants_provideraccount_changelist", "merchants_provideraccount_add",
            "merchants_taxinfo_add", "webhooks_webhookendpoint_add", "webhooks_webhookevent_changelist",
            "config_configuration_add", "auth_group_add", "auth_user_changelist",
        ]  # fmt: skip
        for name in pages:
            assert page.goto(reverse(f"admin:{name}")).status == 200
        page.goto(reverse("admin:merchants_provideraccount_add"))
        page.get_by_role("combobox").first.click()  # rendered by a script of the console
        expect(page.get_by_role("option", name=invoice.merchant.name)).to_be_visible()
        for name, row in (
            ("invoices_invoice_change", invoice), ("invoices_invoice_history", invoice),
            ("merchants_provideraccount_change", account), ("merchants_provideraccount_history", account),
            ("merchants_merchant_change", invoice.merchant), ("merchants_merchant_history", invoice.merchant),
        ):  # fmt: skip
            assert page.goto(reverse(f"admin:{name}", args=[row.pk])).status == 200

    def test_a_violation_is_reported_in_the_browser_s_console(self, browser: Any, live_server: Any) -> None:
        page = browser.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"{live_server.url}/admin/login/")
        page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.ran = 1'")
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in text for text in errors)
        page.close()

    def test_a_claim_page_causes_no_violation(self, page: Page) -> None:
        assert page.goto(f"/claims/{cast.waiting().claim_token}").status == 200
        assert page.goto(f"/claims/{cast.issued().claim_token}").status == 200

    def test_the_api_documentation_is_rendered(self, page: Page) -> None:
        page.goto(reverse("docs"))
        expect(page.get_by_text("/v1/api/openapi.json")).to_be_visible()
