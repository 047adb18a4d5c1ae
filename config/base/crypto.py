"""Encryption of stored secrets: AES-256-GCM with a key ring.

An envelope is `v1.<key id>.<base64 of nonce and ciphertext>`. Its associated data (`aad`) names model, row and field
("merchants.provideraccount:7:credentials"), so a ciphertext that was copied to another row cannot be decrypted.
"""

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings


class DecryptionFailed(Exception):
    """The key is not in the key ring, the `aad` is another one, or the envelope was altered."""


def encrypt(plain: str, aad: str) -> str:
    """The envelope of a text, with the current key."""
    key = _keys()[0]
    nonce = os.urandom(12)
    raw = nonce + AESGCM(key).encrypt(nonce, plain.encode(), aad.encode())
    return current_prefix() + base64.b64encode(raw).decode()


def decrypt(envelope: str, aad: str) -> str:
    """The text of an envelope. Raises DecryptionFailed."""
    version, _, rest = envelope.partition(".")
    wanted, _, body = rest.partition(".")
    if version != "v1":
        raise DecryptionFailed(f"The secret at {aad} has an unknown format.")
    for key in _keys():
        if key_id(key) == wanted:
            try:
                raw = base64.b64decode(body, validate=True)
                if base64.b64encode(raw).decode() != body:  # unused bits of the last letter were altered
                    raise ValueError
                return AESGCM(key).decrypt(raw[:12], raw[12:], aad.encode()).decode()
            except (InvalidTag, ValueError):
                raise DecryptionFailed(f"The secret at {aad} was altered or copied from elsewhere.") from None
    raise DecryptionFailed(f"The secret at {aad} was encrypted with key {wanted}, which is not in the key ring.")


def current_prefix() -> str:
    """The start of every envelope that the current key encrypted."""
    return f"v1.{key_id(_keys()[0])}."


def fingerprint(text: str) -> str:
    """Eight hex digits that distinguish two values without revealing either."""
    return hmac.new(_keys()[0], text.encode(), hashlib.sha256).hexdigest()[:8]


def key_id(key: bytes) -> str:
    return hashlib.sha256(b"hoadon key id" + key).hexdigest()[:8]


def _keys() -> list[bytes]:
    return [bytes.fromhex(key) for key in settings.CREDENTIALS_KEYS]
