"""One login at a time for each user of the vendor, shared by all accounts of this process."""

import asyncio
import json
import time
from contextvars import Context

from invoices.providers.base import Limits, Refused, Scope, Unavailable, Uncertain
from invoices.providers.http import Answer, Http
from invoices.providers.viettel.refusals import fault

EARLY = 60.0  # seconds before a token's end that we stop using it: a call may wait that long


class Login:
    """A token, fetched by whoever needs it first while the others wait for the same answer."""

    def __init__(self, http: Http, base_url: str, username: str, password: str, limits: Limits) -> None:
        self._http, self._url, self._limits = http, f"{base_url}/auth/login", limits
        self._body = json.dumps({"username": username, "password": password}).encode()
        self._token, self._until = "", 0.0
        self._flight: asyncio.Task[str] | None = None

    @classmethod
    def of(cls, http: Http, base_url: str, username: str, password: str, limits: Limits) -> "Login":
        """The process's one login of that user. The password is part of the key: a wrong one must not ride along."""
        key = (cls, base_url, username, password)
        if key not in http.shared:
            http.shared[key] = cls(http, base_url, username, password, limits)
        return http.shared[key]

    async def token(self) -> str:
        """Raises Refused(ACCOUNT, login) where the vendor rejects the user, Unavailable where it cannot be asked."""
        if time.monotonic() < self._until:
            return self._token
        if self._flight is None:
            # A context of its own: the first caller's START_BY must not fail the others' login. And a task of its
            # own: the first caller's cancellation neither.
            self._flight = asyncio.create_task(self._fetch(), context=Context())
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    def forget(self, token: str) -> None:
        """Fifty callers told 401 of the same token cause one login, not fifty."""
        if token == self._token:
            self._until = 0.0

    def _landed(self, flight: asyncio.Task[str]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # seen, even if every caller has gone

    async def _fetch(self) -> str:
        try:
            answer = await self._http.post(self._url, self._body, {"Content-Type": "application/json"}, self._limits)
            told = answer.json() if answer.status == 200 else {}
        except Uncertain as error:  # a login leaves no invoice behind
            raise Unavailable(f"login_{error.code}", "the login failed") from None
        if answer.status in (400, 401, 403):
            raise _rejected(answer)
        token = told.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unavailable(f"login_http_{answer.status}", "the login gave no token")
        life = float(told.get("expires_in") or 0)
        self._token, self._until = token, time.monotonic() + max(life - EARLY, life / 2)
        return token


def _rejected(answer: Answer) -> Refused:
    try:
        code, _ = fault(answer.json())
    except Uncertain:
        code = ""  # a page instead of JSON: the status says enough
    code = code or "INVALID_USER_PASSWORD"
    return Refused(code, "the provider rejects this login", scope=Scope.ACCOUNT, login=True)
