"""Tokens for development: signed with a key pair under settings.LOCAL. Refused in production."""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import ECAlgorithm

from config.rest.keys import ALGORITHM

KID = "development"


def issue_token(sub: str, permissions: Iterable[str], merchant_codes: Iterable[str], *, seconds: int) -> str:
    """A token that the server on this machine accepts. Raises ImproperlyConfigured in production."""
    now = int(time.time())
    claims = {
        "iss": settings.JWT_ISSUER,
        "aud": settings.JWT_AUDIENCE,
        "sub": sub,
        "iat": now,
        "exp": now + seconds,
        "permissions": list(permissions),
        "merchantIds": list(merchant_codes),
    }
    return jwt.encode(claims, _private_key(), algorithm=ALGORITHM, headers={"kid": KID})


def _private_key() -> ec.EllipticCurvePrivateKey:
    """The private key. The first call creates it, and the key set that the server reads."""
    if not settings.DEVELOPMENT:
        raise ImproperlyConfigured("Local tokens are for development only; production uses its identity service.")
    folder: Path = settings.LOCAL / "identity"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        private, public = folder / "private.pem", folder / "jwks.json"
        if not private.exists():
            _write(private, _pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        if not public.exists():
            known = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            entry = {**known, "kid": KID, "use": "sig", "alg": ALGORITHM}
            _write(public, json.dumps({"keys": [entry]}).encode())
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Write atomically, readable by the owner only."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    part.rename(path)
