"""Secrets at rest: AES-256-GCM with a key ring.

An envelope is `v1.<key id>.<base64 of nonce and ciphertext>`. The associated data names model, row and field, so a
ciphertext that was moved to another row does not open.
"""

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings


class CannotOpen(Exception):
    """The envelope was sealed with a key that we do not hold, for another place, or was altered."""


def seal(plain: str, place: str) -> str:
    """Seal a text for `place` ("merchants.provideraccount:7:credentials") with the current key."""
    key = _keys()[0]
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(key).encrypt(nonce, plain.encode(), place.encode())
    return current() + base64.b64encode(sealed).decode()


def unseal(envelope: str, place: str) -> str:
    """The text that was sealed for `place`. Raises CannotOpen."""
    version, _, rest = envelope.partition(".")
    wanted, _, body = rest.partition(".")
    if version != "v1":
        raise CannotOpen(f"The secret at {place} has an unknown form.")
    for key in _keys():
        if key_id(key) == wanted:
            try:
                raw = base64.b64decode(body, validate=True)
                if base64.b64encode(raw).decode() != body:  # the last letter has bits to spare
                    raise ValueError
                return AESGCM(key).decrypt(raw[:12], raw[12:], place.encode()).decode()
            except (InvalidTag, ValueError):
                raise CannotOpen(f"The secret at {place} was altered or belongs elsewhere.") from None
    raise CannotOpen(f"The secret at {place} was sealed with key {wanted}, which is not in the key ring.")


def current() -> str:
    """How an envelope under the current key begins."""
    return f"v1.{key_id(_keys()[0])}."


def fingerprint(text: str) -> str:
    """Eight hex digits by which two values can be told apart and neither can be guessed."""
    return hmac.new(_keys()[0], text.encode(), hashlib.sha256).hexdigest()[:8]


def key_id(key: bytes) -> str:
    return hashlib.sha256(b"hoadon key id" + key).hexdigest()[:8]


def _keys() -> list[bytes]:
    return [bytes.fromhex(key) for key in settings.CREDENTIALS_KEYS]
