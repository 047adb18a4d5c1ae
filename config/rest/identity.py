"""Verifies a caller's token and returns the caller and their permissions. Needs no database.

Times are checked by the machine's clock, never by HOADON_CLOCK: a moved clock must not make an expired token valid.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import jwt
from django.conf import settings
from django.db.models import Model, QuerySet

from config.rest.keys import ALGORITHM, KeySet, NoKeySet, UnknownKey

PERMISSIONS = (
    "invoice.read",
    "invoice.write",
    "invoice.issue",
    "invoice.replay",
    "merchant.read",
    "merchant.write",
    "credential.write",
    "configuration.read",
    "configuration.write",
    "webhook.read",
    "webhook.write",
    "audit.read",
)
MAX_TOKEN = 8192  # characters
MAX_SUBJECT = 64  # characters; the audit stores it
Row = TypeVar("Row", bound=Model)


class InvalidToken(Exception):
    """The message says what is wrong and may be shown to the caller."""


@dataclass(frozen=True, slots=True)
class Principal:
    sub: str
    permissions: frozenset[str]
    merchant_codes: frozenset[str] | Literal["*"]

    @property
    def actor(self) -> str:
        """Their name in the audit."""
        return f"api:{self.sub}"

    @property
    def is_platform(self) -> bool:
        return self.merchant_codes == "*"

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def may_act_for(self, merchant_code: str | None) -> bool:
        """Whether they may act for this merchant. None is the platform itself."""
        return self.merchant_codes == "*" or merchant_code in self.merchant_codes

    def filter_rows(self, rows: "QuerySet[Row]", path: str) -> "QuerySet[Row]":
        """The rows of their merchants. `path` is the lookup from a row to its merchant's code."""
        return rows if self.merchant_codes == "*" else rows.filter(**{f"{path}__in": self.merchant_codes})


class TokenVerifier:
    def __init__(self, keys: KeySet, *, issuer: str, audience: str, leeway: float) -> None:
        self.keys, self._issuer, self._audience, self._leeway = keys, issuer, audience, leeway

    def principal(self, token: str) -> Principal:
        """Raises InvalidToken, or NoKeySet if no token can be verified at the moment."""
        if len(token) > MAX_TOKEN:
            raise InvalidToken("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") != ALGORITHM or not isinstance(kid, str):  # checked before any fetch
                raise InvalidToken(f"The token must be signed with {ALGORITHM} and name its key (kid).")
            claims = jwt.decode(
                token,
                self.keys.get(kid),
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["iss", "aud", "sub", "exp"]},
            )
        except UnknownKey:
            raise InvalidToken("The token was signed by an unknown key.") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidToken(f"The token is not valid: {error}") from None
        return _principal(claims)


def _principal(claims: dict[str, Any]) -> Principal:
    sub, permissions, merchants = claims["sub"], claims.get("permissions", []), claims.get("merchantIds", [])
    if not 1 <= len(sub) <= MAX_SUBJECT or not sub.isprintable():
        raise InvalidToken(f"The subject must be 1 to {MAX_SUBJECT} printable characters.")
    merchants = [merchants] if merchants == "*" else merchants
    for name, values in (("permissions", permissions), ("merchantIds", merchants)):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidToken(f"The claim {name} must be a list of strings.")
    return Principal(sub, frozenset(permissions), "*" if "*" in merchants else frozenset(merchants))


def check_identity() -> str:
    """The health check `jwks`: why tokens cannot be verified; "" if they can."""
    parts = urlsplit(settings.JWKS_URL)
    if parts.scheme == "file" and not Path(unquote(parts.path)).exists():
        return ""  # in development the keys are created with the first token
    try:
        verifier().keys.ensure_loaded()
    except NoKeySet:
        return "No key set of the identity service is known: callers' tokens cannot be verified. See JWKS_URL."
    return ""


@cache
def verifier() -> TokenVerifier:
    """This process's verifier, configured by the settings."""
    keys = KeySet(
        settings.JWKS_URL,
        fresh=settings.JWKS_FRESH,
        stale=settings.JWKS_STALE,
        cooldown=settings.JWKS_COOLDOWN,
        timeout=settings.JWKS_TIMEOUT,
    )
    return TokenVerifier(keys, issuer=settings.JWT_ISSUER, audience=settings.JWT_AUDIENCE, leeway=settings.JWT_LEEWAY)
