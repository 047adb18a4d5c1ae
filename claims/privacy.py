"""A claim page's address authenticates, so it is kept out of caches, search indexes and other sites' logs."""

import base64
import hashlib
from pathlib import Path
from typing import TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.safestring import mark_safe

ResponseType = TypeVar("ResponseType", bound=HttpResponseBase)

# Style and script are inline: one round trip on a slow line. The Content-Security-Policy allows them by hash.
STYLE, SCRIPT = (mark_safe((Path(__file__).parent / name).read_text()) for name in ("page.css", "page.js"))  # noqa: S308  (our own files)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def keep_private(response: ResponseType) -> ResponseType:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def is_cross_site(request: HttpRequest) -> bool:
    """Whether another site made the browser send this request.

    Browsers report this in a header, so forms need no session and no cookie, which chat apps often block. Django's own
    check does not work with no-referrer, because browsers then send `Origin: null`. Old browsers send no such header;
    but an attacker who knows the address has the token and does not need the buyer's browser.
    """
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
