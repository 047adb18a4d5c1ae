"""Authentication, permissions and throttling of every API view. A view declares a permission for each action."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from rest_framework import authentication, permissions, throttling
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.rest.identity import InvalidToken, Principal, verifier
from config.rest.keys import NoKeySet
from config.rest.problems import Problem
from config.rest.rates import seconds_to_wait

if TYPE_CHECKING:
    from rest_framework.views import APIView  # a circular import: it imports this module, named in the settings


class BearerToken(authentication.BaseAuthentication):
    """Sets `request.auth` to the Principal. `request.user` stays empty: API callers are not console users."""

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
        except NoKeySet:
            wait = int(settings.JWKS_COOLDOWN)
            detail = "The identity service does not answer: no token can be verified."
            raise Problem(503, "identity_unavailable", detail, retry_after=wait) from None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="hoadon"'


class HasDeclaredPermission(permissions.BasePermission):
    """The caller needs the permission that the view declares for the action. An undeclared action is denied."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        principal = cast(Principal | None, request.auth)
        if principal is None:
            return False  # responds 401
        action = getattr(view, "action", None)
        if action is None:  # the view has no such method: responds 405
            return True
        required = getattr(view, "permission_of", {}).get(action)
        return required is not None and principal.may(required)


class PrincipalThrottle(throttling.BaseThrottle):
    waiting = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        principal = cast(Principal | None, request.auth)
        self.waiting = seconds_to_wait("principal", principal.sub) if principal else 0
        return not self.waiting

    def wait(self) -> float:
        return self.waiting
