"""The address of a claim page is its key: it stays out of caches, indexes and other sites' logs."""

import base64
import hashlib
from pathlib import Path
from typing import TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.safestring import mark_safe

T = TypeVar("T", bound=HttpResponseBase)

# The page brings its style and its script along, one round trip on a bad line; the policy knows them by their hashes.
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


def keep_private(response: T) -> T:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def is_cross_site(request: HttpRequest) -> bool:
    """Whether another site had the browser send this.

    Browsers say so themselves, so forms need no session and no cookie, which matters inside chat apps. (Django's own
    check cannot go with no-referrer: browsers then send `Origin: null`.) Old browsers say nothing; but whoever can
    forge the address holds the token and needs nobody's browser.
    """
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
