"""An identity service on a loopback socket. It publishes keys, counts fetches, and can be slow, broken or down."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from config.rest.identity import TokenVerifier
from config.rest.keys import KeySet

ISSUER, AUDIENCE = "https://id.example", "SVC-00150-INVOICE"


class IdentityService:
    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": ec.generate_private_key(ec.SECP256R1())}
        self.fetches, self.delay, self.body = 0, 0.0, b""  # delay in seconds
        self.released = threading.Event()  # ends the delay
        self.status = 200
        self.url = ""

    def key_set(self) -> bytes:
        kinds = {ec.EllipticCurvePrivateKey: ECAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}
        entries = []
        for kid, key in self.keys.items():
            algorithm = next(kinds[kind] for kind in kinds if isinstance(key, kind))
            entries.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        return json.dumps({"keys": entries}).encode()

    def token(self, *, kid: str = "one", key: Any = None, alg: str = "ES256", drop: str = "", **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "thu", "exp": now + 60,
            "permissions": ["invoice.read"], "merchantIds": ["m-1"], **claims,
        }  # fmt: skip
        payload.pop(drop, None)
        return jwt.encode(payload, key or self.keys[kid], algorithm=alg, headers={"kid": kid})

    def verifier(
        self, *, cooldown: float = 60, fresh: float = 300, stale: float = 3600, timeout: float = 2
    ) -> TokenVerifier:
        keys = KeySet(self.url, fresh=fresh, stale=stale, cooldown=cooldown, timeout=timeout)
        return TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE, leeway=5)


@contextmanager
def running() -> Iterator[IdentityService]:
    service = IdentityService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.fetches += 1
            service.released.wait(service.delay)
            body = service.body or service.key_set()
            self.send_response(service.status)
            if service.status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
