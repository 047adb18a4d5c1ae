"""The identity service's public keys.

Of PyJWT (2.15) only the key parsing is used. Its client drops the set after its lifespan although the service is down,
starts its cooldown only after a success, and blocks every caller while it fetches.
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
MAX_SIZE = 1024 * 1024  # bytes of a key set
ALGORITHM = "ES256"


class UnknownKey(LookupError):
    """The key set has no such key."""


class NoKeySet(Exception):
    """No key set was ever read, or the last one is older than `stale`."""


class KeySet:
    """The key set of one URL, fetched when it is needed. All times are in seconds.

    A known key is returned at once, for up to `stale` while the service is down. At most one fetch starts per
    `cooldown`. While one caller fetches, only callers with an unknown key wait for it.
    """

    def __init__(self, url: str, *, fresh: float, stale: float, cooldown: float, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._fresh, self._stale, self._cooldown = fresh, stale, cooldown
        self._known: Mapping[str, PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._fetching = threading.Lock()

    def get(self, kid: str) -> PyJWK:
        """The key with that id. Raises UnknownKey, NoKeySet."""
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
            raise NoKeySet
        try:
            return self._known[kid]
        except KeyError:
            raise UnknownKey from None

    def ensure_loaded(self) -> None:
        """Fetch the key set if there is no usable one. Raises NoKeySet."""
        if self._age() > self._stale:
            with self._fetching:
                if self._age() > self._stale:
                    self._fetch()
        if self._age() > self._stale:
            raise NoKeySet

    def seconds_left(self) -> float:
        """Until the current key set is stale."""
        return max(0.0, self._stale - self._age())

    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _fetch(self) -> None:
        """Fetch the key set, unless that was tried within the cooldown. After a failure the old set stays."""
        if time.monotonic() - self._tried_at < self._cooldown:
            return
        self._tried_at = time.monotonic()
        try:
            known = parse_key_set(json.loads(_read(self._url, self._timeout)))
            if not known:
                raise ValueError("it has no usable key")
        except (OSError, HTTPException, ValueError) as error:
            log.warning("[keysUnavailable]", error=type(error).__name__, why=str(error))
            return
        self._known, self._read_at = known, time.monotonic()


def parse_key_set(key_set: Any) -> dict[str, PyJWK]:
    """The usable keys of a JWKS document by id. Raises ValueError if it is not a key set."""
    entries = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is not a key set")
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
        """Keys come from the configured address only."""
        return


def _read(url: str, timeout: float) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":  # refused by the settings in production
        return Path(unquote(parts.path)).read_bytes()
    with urllib.request.build_opener(_NoRedirect).open(url, timeout=timeout) as response:
        content = response.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise ValueError("it is too large")
    return content
