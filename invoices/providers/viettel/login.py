"""One login per user of the vendor, shared by all accounts of this process."""

import asyncio
import json
import time
from contextvars import Context

from invoices.providers.base import Limits, Refused, Scope, Unavailable, Uncertain
from invoices.providers.http import Http, HttpAnswer
from invoices.providers.viettel.refusals import read_fault

MARGIN = 60.0  # seconds before its end from which a token is not used any more: a call may wait that long


class Login:
    """The first caller that needs a token fetches it; the others wait for the same answer."""

    def __init__(self, http: Http, base_url: str, username: str, password: str, limits: Limits) -> None:
        self._http, self._url, self._limits = http, f"{base_url}/auth/login", limits
        self._body = json.dumps({"username": username, "password": password}).encode()
        self._token, self._until = "", 0.0
        self._fetching: asyncio.Task[str] | None = None

    @classmethod
    def of(cls, http: Http, base_url: str, username: str, password: str, limits: Limits) -> "Login":
        """The process's login of that user. The password is part of the key, so a wrong one never gets a good token."""
        key = (cls, base_url, username, password)
        if key not in http.shared:
            http.shared[key] = cls(http, base_url, username, password, limits)
        return http.shared[key]

    async def token(self) -> str:
        """Raises Refused(ACCOUNT, login) if the vendor rejects the user, Unavailable if it does not answer."""
        if time.monotonic() < self._until:
            return self._token
        if self._fetching is None:
            # A task and a context of its own: neither the first caller's START_BY nor its cancellation may fail the
            # login of the others.
            self._fetching = asyncio.create_task(self._fetch(), context=Context())
            self._fetching.add_done_callback(self._finish)
        return await asyncio.shield(self._fetching)

    def forget(self, token: str) -> None:
        """Drop a token that got a 401. Fifty callers with the same token cause one login."""
        if token == self._token:
            self._until = 0.0

    def _finish(self, task: asyncio.Task[str]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio would log an error if every caller has gone

    async def _fetch(self) -> str:
        try:
            answer = await self._http.post(self._url, self._body, {"Content-Type": "application/json"}, self._limits)
            body = answer.json() if answer.status == 200 else {}
        except Uncertain as error:  # a login issues nothing
            raise Unavailable(f"login_{error.code}", "the login failed") from None
        if answer.status in (400, 401, 403):
            raise _login_refused(answer)
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unavailable(f"login_http_{answer.status}", "the login returned no token")
        life = float(body.get("expires_in") or 0)
        self._token, self._until = token, time.monotonic() + max(life - MARGIN, life / 2)
        return token


def _login_refused(answer: HttpAnswer) -> Refused:
    try:
        code, _ = read_fault(answer.json())
    except Uncertain:
        code = ""  # a page instead of JSON: only the status counts
    code = code or "INVALID_USER_PASSWORD"
    return Refused(code, "the provider rejects this login", scope=Scope.ACCOUNT, login=True)
