"""The gate before every API view: a token, and a permission that the view declares for each of its actions."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from rest_framework import authentication, permissions, throttling
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.rest.identity import InvalidToken, Principal, verifier
from config.rest.keys import NoKeys
from config.rest.problems import Problem
from config.rest.rates import seconds_to_wait

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which itself imports this module, by its name in the settings


class BearerToken(authentication.BaseAuthentication):
    """`request.auth` is the Principal. `request.user` stays empty: callers of the API are no users of the console."""

    def authenticate(self, request: Request) -> tuple[None, Principal] | None:
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Please send a bearer token.")
        try:
            return None, verifier().principal(token.strip())
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None
        except NoKeys:
            wait = int(settings.JWKS_COOLDOWN)
            told = "The identity service does not answer: no token can be judged."
            raise Problem(503, "identity_unavailable", told, retry_after=wait) from None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="hoadon"'


class Declared(permissions.BasePermission):
    """Only who holds the permission that the view declares for this action. What is not declared is denied."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        principal = cast(Principal | None, request.auth)
        if principal is None:
            return False  # answered 401
        action = getattr(view, "action", None)
        if action is None:  # no method of the view: answered 405
            return True
        wanted = getattr(view, "permission_of", {}).get(action)
        return wanted is not None and principal.may(wanted)


class PerPrincipal(throttling.BaseThrottle):
    waiting = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        principal = cast(Principal | None, request.auth)
        self.waiting = seconds_to_wait("principal", principal.sub) if principal else 0
        return not self.waiting

    def wait(self) -> float:
        return self.waiting
