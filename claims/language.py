"""The buyer page's language: Vietnamese, unless the buyer chooses English."""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

LANGUAGES = dict(settings.LANGUAGES)
DEFAULT = "vi"
COOKIE = "claim_language"  # not Django's own, which the operators' console uses
A_YEAR = 365 * 24 * 3600


def language_of(request: HttpRequest) -> str:
    """From the language link that was pressed now or earlier. Accept-Language is ignored: many phones in Việt Nam are
    set to English although their owners read Vietnamese."""
    for wanted in (request.GET.get("lang"), request.COOKIES.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    return DEFAULT


def remember(response: HttpResponseBase, language: str) -> None:
    response.set_cookie(
        COOKIE,
        language,
        max_age=A_YEAR,
        path="/claims/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
