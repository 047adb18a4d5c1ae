"""A caller's token → who they are and what they may do. Needs no database.

Times are judged by the machine's clock, never by HOADON_CLOCK: a moved business clock must not make an old token good.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import jwt
from django.conf import settings
from django.db.models import Model, QuerySet

from config.rest.keys import ALGORITHM, Keys, NoKeys, UnknownKey

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
LONGEST = 8192  # characters of a token
LONGEST_SUBJECT = 64  # it is written into the audit
Row = TypeVar("Row", bound=Model)


class InvalidToken(Exception):
    """The message says what is wrong, and may be shown."""


@dataclass(frozen=True, slots=True)
class Principal:
    sub: str
    permissions: frozenset[str]
    merchant_codes: frozenset[str] | Literal["*"]

    @property
    def actor(self) -> str:
        """As the audit names them."""
        return f"api:{self.sub}"

    @property
    def is_platform(self) -> bool:
        return self.merchant_codes == "*"

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def acts_for(self, merchant_code: str | None) -> bool:
        """May they speak for this merchant? None is the platform itself."""
        return self.merchant_codes == "*" or merchant_code in self.merchant_codes

    def narrow(self, rows: "QuerySet[Row]", path: str) -> "QuerySet[Row]":
        """The rows of their merchants; `path` leads to a merchant's code."""
        return rows if self.merchant_codes == "*" else rows.filter(**{f"{path}__in": self.merchant_codes})


class Verifier:
    def __init__(self, keys: Keys, *, issuer: str, audience: str, leeway: float) -> None:
        self.keys, self._issuer, self._audience, self._leeway = keys, issuer, audience, leeway

    def principal(self, token: str) -> Principal:
        """Raises InvalidToken; keys.NoKeys where no token can be judged."""
        if len(token) > LONGEST:
            raise InvalidToken("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") != ALGORITHM or not isinstance(kid, str):  # before anything is fetched for it
                raise InvalidToken(f"The token must be signed with {ALGORITHM} by a key with a name.")
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
            raise InvalidToken("The token was signed by a key that we do not know.") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidToken(f"The token is not valid: {error}") from None
        return _principal(claims)


def _principal(claims: dict[str, Any]) -> Principal:
    sub, permissions, merchants = claims["sub"], claims.get("permissions", []), claims.get("merchantIds", [])
    if not 1 <= len(sub) <= LONGEST_SUBJECT or not sub.isprintable():
        raise InvalidToken(f"The subject must be 1 to {LONGEST_SUBJECT} printable characters.")
    merchants = [merchants] if merchants == "*" else merchants
    for name, values in (("permissions", permissions), ("merchantIds", merchants)):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidToken(f"The claim {name} must be a list of texts.")
    return Principal(sub, frozenset(permissions), "*" if "*" in merchants else frozenset(merchants))


def check_identity() -> str:
    """Can tokens be judged? "" where they can."""
    parts = urlsplit(settings.JWKS_URL)
    if parts.scheme == "file" and not Path(unquote(parts.path)).exists():
        return ""  # a developer's machine makes its keys with its first token
    try:
        verifier().keys.hold()
    except NoKeys:
        return "No key set of the identity service is known: callers' tokens cannot be judged. See JWKS_URL."
    return ""


@cache
def verifier() -> Verifier:
    """The one of this process, as the settings say."""
    keys = Keys(
        settings.JWKS_URL,
        fresh=settings.JWKS_FRESH,
        stale=settings.JWKS_STALE,
        cooldown=settings.JWKS_COOLDOWN,
        timeout=settings.JWKS_TIMEOUT,
    )
    return Verifier(keys, issuer=settings.JWT_ISSUER, audience=settings.JWT_AUDIENCE, leeway=settings.JWT_LEEWAY)
