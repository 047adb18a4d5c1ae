"""The identity service's public keys.

PyJWT's own client (2.15) keeps its set through a failed fetch, but forgets it after its lifespan, starts its cooldown
only after a success, and holds its lock, and with it every caller, through a fetch. So only its key parsing is used.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jwt import PyJWK, PyJWTError
from structlog.stdlib import get_logger

log = get_logger(__name__)
LARGEST = 1024 * 1024  # bytes of a key set
ALGORITHM = "ES256"


class UnknownKey(LookupError):
    """The identity service publishes no such key."""


class NoKeys(Exception):
    """No key set was ever read, or the last one is older than we trust."""


class Keys:
    """One key set, read when it is needed. All times in seconds.

    A known key is served at once, and for `stale` while the service is down. Whatever callers send, at most one fetch
    begins in a `cooldown`; while one caller fetches, those with an unknown key wait for it, and nobody else does.
    """

    def __init__(self, url: str, *, fresh: float, stale: float, cooldown: float, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._fresh, self._stale, self._cooldown = fresh, stale, cooldown
        self._known: Mapping[str, PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._fetching = threading.Lock()

    def get(self, kid: str) -> PyJWK:
        """The key of that name. Raises UnknownKey, NoKeys."""
        if kid not in self._known or self._age() > self._stale:
            with self._fetching:
                if kid not in self._known or self._age() > self._stale:
                    self._fetch()
        elif self._age() > self._fresh and self._fetching.acquire(blocking=False):
            try:
                self._fetch()
            finally:
                self._fetching.release()
        if self._age() > self._stale:
            raise NoKeys
        try:
            return self._known[kid]
        except KeyError:
            raise UnknownKey from None

    def hold(self) -> None:
        """Have a set in hand. Raises NoKeys."""
        if self._age() > self._stale:
            with self._fetching:
                if self._age() > self._stale:
                    self._fetch()
        if self._age() > self._stale:
            raise NoKeys

    def seconds_left(self) -> float:
        """Until the set in hand is too old to be trusted."""
        return max(0.0, self._stale - self._age())

    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _fetch(self) -> None:
        """Read the set anew, unless that was tried a moment ago. A set that cannot be read replaces none."""
        if time.monotonic() - self._tried_at < self._cooldown:
            return
        self._tried_at = time.monotonic()
        try:
            known = usable(json.loads(_read(self._url, self._timeout)))
            if not known:
                raise ValueError("it holds no key that we could use")
        except (OSError, HTTPException, ValueError) as error:
            log.warning("[keysUnavailable]", error=type(error).__name__, why=str(error))
            return
        self._known, self._read_at = known, time.monotonic()


def usable(key_set: Any) -> dict[str, PyJWK]:
    """The keys of a JWKS document that can sign for us, by name. Raises ValueError where it is none."""
    entries = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no key set")
    known = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") != "EC" or entry.get("crv") != "P-256":
            continue
        if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
            continue
        if isinstance(kid := entry.get("kid"), str) and kid:
            try:
                known[kid] = PyJWK(entry, ALGORITHM)
            except PyJWTError:
                continue
    return known


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Keys come from where the settings say, or from nowhere."""
        return


def _read(url: str, timeout: float) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":  # the settings refuse it in production
        return Path(unquote(parts.path)).read_bytes()
    with urllib.request.build_opener(_NoRedirect).open(url, timeout=timeout) as answer:
        content = answer.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("it is too large")
    return content
