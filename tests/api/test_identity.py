"""Token verification, against a real identity service on a socket, without a database."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.management import CommandError, call_command
from django.test import Client

from config.rest import identity
from config.rest.identity import InvalidToken, Principal
from config.rest.keys import NoKeySet, parse_key_set
from tests.api.client import problem
from tests.api.identity_service import IdentityService, running


@pytest.fixture
def service() -> Iterator[IdentityService]:
    with running() as service:
        yield service


def test_a_valid_token_yields_subject_permissions_and_merchants(service: IdentityService) -> None:
    principal = service.verifier().principal(service.token())
    assert principal == Principal("thu", frozenset({"invoice.read"}), frozenset({"m-1"}))
    assert principal.may("invoice.read") and not principal.may("invoice.issue")
    assert principal.may_act_for("m-1") and not principal.may_act_for("m-2") and not principal.may_act_for(None)


@pytest.mark.parametrize("merchants", ["*", ["*"], ["m-1", "*"]])
def test_a_star_means_the_whole_platform(service: IdentityService, merchants: Any) -> None:
    principal = service.verifier().principal(service.token(merchantIds=merchants))
    assert principal.is_platform and principal.may_act_for("m-2") and principal.may_act_for(None)


def test_a_token_without_permissions_and_merchants_allows_nothing(service: IdentityService) -> None:
    token = service.token(permissions=[], drop="merchantIds")
    assert service.verifier().principal(token) == Principal("thu", frozenset(), frozenset())


def forged(service: IdentityService, header: dict[str, Any], secret: bytes = b"") -> str:
    """A token with any header, signed with HMAC if there is a secret."""
    claims = service.token().split(".")[1]
    signed = f"{_b64(json.dumps(header).encode())}.{claims}"
    return f"{signed}.{_b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest()) if secret else ''}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_pem(service: IdentityService) -> bytes:
    public = service.keys["one"].public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed_with_another_key(service: IdentityService) -> str:
    return service.token(key=ec.generate_private_key(ec.SECP256R1()))


def signed_with_rsa(service: IdentityService) -> str:
    service.keys["rsa"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return service.token(kid="rsa", alg="RS256")


def naming_an_unknown_key(service: IdentityService) -> str:
    return service.token(kid="unknown", key=service.keys["one"])


INVALID: dict[str, Callable[[IdentityService], str]] = {
    "no algorithm": lambda s: forged(s, {"alg": "none", "kid": "one"}),
    "HS256 with the public key": lambda s: forged(s, {"alg": "HS256", "kid": "one"}, public_pem(s)),
    "HS256 with the public key, called ES256": lambda s: forged(s, {"alg": "ES256", "kid": "one"}, public_pem(s)),
    "RS256": signed_with_rsa,
    "another signature": signed_with_another_key,
    "an unknown key": naming_an_unknown_key,
    "no key": lambda s: forged(s, {"alg": "ES256"}, b"x"),
    "a key id that is no string": lambda s: forged(s, {"alg": "ES256", "kid": 7}, b"x"),
    "another audience": lambda s: s.token(aud="SVC-00050"),
    "no audience": lambda s: s.token(drop="aud"),
    "another issuer": lambda s: s.token(iss="https://evil.example"),
    "no issuer": lambda s: s.token(drop="iss"),
    "expired": lambda s: s.token(exp=int(time.time()) - 6),
    "no expiry": lambda s: s.token(drop="exp"),
    "not valid yet": lambda s: s.token(nbf=int(time.time()) + 60),
    "no subject": lambda s: s.token(drop="sub"),
    "an empty subject": lambda s: s.token(sub=""),
    "a subject of two lines": lambda s: s.token(sub="a\nb"),
    "a subject that is too long": lambda s: s.token(sub="a" * 65),
    "permissions that are no list": lambda s: s.token(permissions="invoice.read"),
    "merchants that are no strings": lambda s: s.token(merchantIds=[1]),
    "half a token": lambda s: s.token().rpartition(".")[0],
    "no token": lambda s: "x",
    "a token that is too long": lambda s: s.token(sub="a" * 9000),
    "non-ASCII letters": lambda s: "é.ü.ß",
}


@pytest.mark.parametrize("build", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_token_is_401_with_a_problem_body(
    build: Callable[[IdentityService], str], service: IdentityService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = service.verifier()
    token = build(service)
    monkeypatch.setattr("config.rest.permissions.verifier", lambda: verifier)
    with pytest.raises(InvalidToken):
        verifier.principal(token)
    response = client.get("/v1/api/invoices", headers={"Authorization": f"Bearer {token}"})
    assert problem(response) == (401, "invalid_token")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "code"), [(None, "unauthenticated"), ("", "unauthenticated"), ("Basic dTpw", "invalid_token")]
)
def test_no_bearer_token_is_401(client: Client, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert problem(client.get("/v1/api/invoices", headers=headers)) == (401, code)


def test_small_differences_of_clocks_are_tolerated(service: IdentityService) -> None:
    now = int(time.time())
    assert service.verifier().principal(service.token(exp=now - 2, nbf=now + 2)).sub == "thu"


def test_a_thousand_random_keys_cause_one_fetch_per_cooldown(service: IdentityService) -> None:
    verifier = service.verifier(cooldown=60)
    for _ in range(1000):
        with pytest.raises(InvalidToken):
            verifier.principal(service.token(kid=uuid.uuid4().hex, key=service.keys["one"]))
    assert service.fetches == 1
    assert verifier.principal(service.token()).sub == "thu" and service.fetches == 1


def test_the_cooldown_holds_after_a_failed_fetch_too(service: IdentityService) -> None:
    service.status = 500
    verifier = service.verifier(cooldown=60)
    for _ in range(100):
        with pytest.raises(NoKeySet):
            verifier.principal(service.token())
    assert service.fetches == 1


def test_a_rotated_key_is_accepted_after_one_fetch(service: IdentityService) -> None:
    verifier = service.verifier(cooldown=0.1)
    verifier.principal(service.token())
    service.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    time.sleep(0.11)
    assert verifier.principal(service.token(kid="two")).sub == "thu"
    assert service.fetches == 2


def test_known_keys_are_used_while_the_service_is_down_until_they_are_stale(service: IdentityService) -> None:
    verifier = service.verifier(cooldown=0.05, fresh=0.01, stale=60)
    verifier.principal(service.token())
    for failure in ({"status": 503}, {"status": 302}, {"status": 200, "body": b"<html>"}, {"body": b'{"keys": []}'}):
        vars(service).update(failure)
        time.sleep(0.06)
        before = service.fetches
        assert verifier.principal(service.token()).sub == "thu"
        assert service.fetches == before + 1  # it fetched, and kept the old set
    verifier.keys._read_at -= 61  # a minute later
    with pytest.raises(NoKeySet):
        verifier.principal(service.token())


def test_a_withdrawn_key_is_refused_after_the_next_fetch(service: IdentityService) -> None:
    verifier = service.verifier(cooldown=0.01, fresh=0.02)
    token = service.token()
    verifier.principal(token)
    service.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    time.sleep(0.03)
    with pytest.raises(InvalidToken):
        verifier.principal(token)


def test_twenty_callers_at_once_cause_one_fetch(service: IdentityService) -> None:
    service.delay = 0.2
    verifier, token, subjects = service.verifier(), service.token(), []
    threads = [threading.Thread(target=lambda: subjects.append(verifier.principal(token).sub)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subjects == ["thu"] * 20 and service.fetches == 1


def test_a_caller_with_a_known_key_does_not_wait_for_a_slow_service(service: IdentityService) -> None:
    verifier, token = service.verifier(cooldown=0.01, fresh=0.02, timeout=10), service.token()
    verifier.principal(token)
    service.delay = 5.0
    time.sleep(0.03)
    refreshing = threading.Thread(target=verifier.principal, args=(token,))
    refreshing.start()
    while service.fetches < 2:
        time.sleep(0.01)
    verifier.principal(token)
    assert refreshing.is_alive()  # that thread still waits for the service
    service.released.set()
    refreshing.join()


def test_without_a_key_set_the_api_responds_503(
    service: IdentityService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.status = 500
    verifier = service.verifier()
    monkeypatch.setattr("config.rest.permissions.verifier", lambda: verifier)
    response = client.get("/v1/api/invoices", headers={"Authorization": f"Bearer {service.token()}"})
    assert problem(response) == (503, "identity_unavailable") and int(response["Retry-After"]) > 0


@pytest.mark.parametrize(
    "change",
    [{"kty": "RSA"}, {"crv": "P-384"}, {"use": "enc"}, {"alg": "ES384"}, {"kid": ""}, {"kid": None}, {"x": "A"}],
)
def test_a_key_of_another_kind_is_ignored(service: IdentityService, change: dict[str, Any]) -> None:
    (entry,) = json.loads(service.key_set())["keys"]
    assert list(parse_key_set({"keys": [entry, entry | change, 7]})) == ["one"]
    assert parse_key_set({"keys": [entry | change]}) == {}


def test_the_command_issues_a_token_that_this_machine_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("issue_token", "--permissions", "invoice.read", "audit.read", "--merchants", "m-1", "--sub", "lan")
    principal = identity.verifier().principal(capsys.readouterr().out.strip())
    assert principal == Principal("lan", frozenset({"invoice.read", "audit.read"}), frozenset({"m-1"}))


def test_local_tokens_and_key_files_are_refused_in_production(settings: Any) -> None:
    settings.DEVELOPMENT = False
    with pytest.raises(CommandError, match="development"):
        call_command("issue_token")
    production = {
        "HOADON_ENV": "production", "DATABASE_URL": "postgres://x", "REDIS_URL": "redis://x", "SECRET_KEY": "x",
        "APP_ENV_INVOICE_WORKER_ID": "1", "APP_ENV_INVOICE_CREDENTIALS_KEY": "ab" * 32, "WEBHOOK_SECRET": "whsec_YWFh",
        "WEBHOOK_INTERNAL_SECRET": "whsec_YWFh", "JWT_ISSUER": "https://id.example", "JWKS_URL": "file:///etc/jwks.json",
    }  # fmt: skip
    command = [sys.executable, "-c", "import config.settings"]
    result = subprocess.run(command, env=production, capture_output=True, text=True)
    assert result.returncode != 0 and "JWKS_URL" in result.stderr
