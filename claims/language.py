"""Buyers read Vietnamese, until they ask for English."""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

LANGUAGES = dict(settings.LANGUAGES)
DEFAULT = "vi"
COOKIE = "claim_language"  # not Django's own: an operator's console keeps its language
A_YEAR = 365 * 24 * 3600


def language_of(request: HttpRequest) -> str:
    """By the link that was pressed, else by the one pressed before. What a browser sends by itself decides nothing:
    many telephones in Việt Nam are set to English by people who read Vietnamese."""
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
