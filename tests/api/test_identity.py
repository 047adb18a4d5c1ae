"""Whose token is good: against a real identity service on a socket, without a database."""

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
from tests.api.identity_service import Service, running


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as service:
        yield service


def test_a_good_token_names_its_bearer_what_they_may_and_for_whom(service: Service) -> None:
    principal = service.verifier().principal(service.token())
    assert principal == Principal("thu", frozenset({"invoice.read"}), frozenset({"m-1"}))
    assert principal.may("invoice.read") and not principal.may("invoice.issue")
    assert principal.may_act_for("m-1") and not principal.may_act_for("m-2") and not principal.may_act_for(None)


@pytest.mark.parametrize("merchants", ["*", ["*"], ["m-1", "*"]])
def test_a_star_is_the_whole_platform(service: Service, merchants: Any) -> None:
    principal = service.verifier().principal(service.token(merchantIds=merchants))
    assert principal.is_platform and principal.may_act_for("anybody") and principal.may_act_for(None)


def test_a_token_without_permissions_and_merchants_may_nothing(service: Service) -> None:
    token = service.token(permissions=[], drop="merchantIds")
    assert service.verifier().principal(token) == Principal("thu", frozenset(), frozenset())


def forged(service: Service, header: dict[str, Any], secret: bytes = b"") -> str:
    """A token of any header, signed with HMAC where there is a secret."""
    claims = service.token().split(".")[1]
    signed = f"{_b64(json.dumps(header).encode())}.{claims}"
    return f"{signed}.{_b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest()) if secret else ''}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_pem(service: Service) -> bytes:
    public = service.keys["one"].public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def of_a_stranger(service: Service) -> str:
    return service.token(key=ec.generate_private_key(ec.SECP256R1()))


def of_rsa(service: Service) -> str:
    service.keys["rsa"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return service.token(kid="rsa", alg="RS256")


def of_an_unknown_key(service: Service) -> str:
    return service.token(kid="nobody", key=service.keys["one"])


BAD: dict[str, Callable[[Service], str]] = {
    "no algorithm": lambda s: forged(s, {"alg": "none", "kid": "one"}),
    "HS256 with the public key": lambda s: forged(s, {"alg": "HS256", "kid": "one"}, public_pem(s)),
    "HS256 with the public key, called ES256": lambda s: forged(s, {"alg": "ES256", "kid": "one"}, public_pem(s)),
    "RS256": of_rsa,
    "another's signature": of_a_stranger,
    "an unknown key": of_an_unknown_key,
    "no key": lambda s: forged(s, {"alg": "ES256"}, b"x"),
    "a key that is no text": lambda s: forged(s, {"alg": "ES256", "kid": 7}, b"x"),
    "another audience": lambda s: s.token(aud="SVC-00050"),
    "no audience": lambda s: s.token(drop="aud"),
    "another issuer": lambda s: s.token(iss="https://evil.example"),
    "no issuer": lambda s: s.token(drop="iss"),
    "expired": lambda s: s.token(exp=int(time.time()) - 6),
    "no end": lambda s: s.token(drop="exp"),
    "not yet": lambda s: s.token(nbf=int(time.time()) + 60),
    "no subject": lambda s: s.token(drop="sub"),
    "an empty subject": lambda s: s.token(sub=""),
    "a subject of two lines": lambda s: s.token(sub="a\nb"),
    "a subject that is too long": lambda s: s.token(sub="a" * 65),
    "permissions that are no list": lambda s: s.token(permissions="invoice.read"),
    "merchants that are no texts": lambda s: s.token(merchantIds=[1]),
    "half a token": lambda s: s.token().rpartition(".")[0],
    "no token at all": lambda s: "x",
    "a token without end": lambda s: s.token(sub="a" * 9000),
    "letters of elsewhere": lambda s: "é.ü.ß",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_token_is_401_with_a_problem_body(
    bad: Callable[[Service], str], service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = service.verifier()
    token = bad(service)
    monkeypatch.setattr("config.rest.permissions.verifier", lambda: verifier)
    with pytest.raises(InvalidToken):
        verifier.principal(token)
    answer = client.get("/v1/api/invoices", headers={"Authorization": f"Bearer {token}"})
    assert problem(answer) == (401, "invalid_token")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "code"), [(None, "unauthenticated"), ("", "unauthenticated"), ("Basic dTpw", "invalid_token")]
)
def test_no_bearer_token_is_401(client: Client, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert problem(client.get("/v1/api/invoices", headers=headers)) == (401, code)


def test_clocks_may_be_a_little_apart(service: Service) -> None:
    now = int(time.time())
    assert service.verifier().principal(service.token(exp=now - 2, nbf=now + 2)).sub == "thu"


def test_a_thousand_random_keys_cause_one_fetch_a_cooldown(service: Service) -> None:
    verifier = service.verifier(cooldown=60)
    for _ in range(1000):
        with pytest.raises(InvalidToken):
            verifier.principal(service.token(kid=uuid.uuid4().hex, key=service.keys["one"]))
    assert service.fetches == 1
    assert verifier.principal(service.token()).sub == "thu" and service.fetches == 1


def test_the_cooldown_holds_after_a_failed_fetch_too(service: Service) -> None:
    service.status = 500
    verifier = service.verifier(cooldown=60)
    for _ in range(100):
        with pytest.raises(NoKeySet):
            verifier.principal(service.token())
    assert service.fetches == 1


def test_a_rotated_key_is_accepted_after_one_fetch(service: Service) -> None:
    verifier = service.verifier(cooldown=0.1)
    verifier.principal(service.token())
    service.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    time.sleep(0.11)
    assert verifier.principal(service.token(kid="two")).sub == "thu"
    assert service.fetches == 2


def test_known_keys_hold_while_the_service_is_down_and_not_for_ever(service: Service) -> None:
    verifier = service.verifier(cooldown=0.05, fresh=0.01, stale=60)
    verifier.principal(service.token())
    for trouble in ({"status": 503}, {"status": 302}, {"status": 200, "body": b"<html>"}, {"body": b'{"keys": []}'}):
        vars(service).update(trouble)
        time.sleep(0.06)
        before = service.fetches
        assert verifier.principal(service.token()).sub == "thu"
        assert service.fetches == before + 1  # it did ask, and kept what it had
    verifier.keys._read_at -= 61  # a minute later
    with pytest.raises(NoKeySet):
        verifier.principal(service.token())


def test_a_withdrawn_key_is_refused_once_the_set_is_read_anew(service: Service) -> None:
    verifier = service.verifier(cooldown=0.01, fresh=0.02)
    token = service.token()
    verifier.principal(token)
    service.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    time.sleep(0.03)
    with pytest.raises(InvalidToken):
        verifier.principal(token)


def test_twenty_callers_at_once_cause_one_fetch(service: Service) -> None:
    service.seconds = 0.2
    verifier, token, heard = service.verifier(), service.token(), []
    threads = [threading.Thread(target=lambda: heard.append(verifier.principal(token).sub)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == ["thu"] * 20 and service.fetches == 1


def test_nobody_with_a_known_key_waits_for_a_slow_service(service: Service) -> None:
    verifier, token = service.verifier(cooldown=0.01, fresh=0.02, timeout=10), service.token()
    verifier.principal(token)
    service.seconds = 5.0
    time.sleep(0.03)
    refreshing = threading.Thread(target=verifier.principal, args=(token,))
    refreshing.start()
    while service.fetches < 2:
        time.sleep(0.01)
    verifier.principal(token)
    assert refreshing.is_alive()  # it still waits for the service; we did not
    service.seconds = 0.0
    refreshing.join()


def test_with_no_key_set_at_all_the_api_says_try_later(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.status = 500
    verifier = service.verifier()
    monkeypatch.setattr("config.rest.permissions.verifier", lambda: verifier)
    answer = client.get("/v1/api/invoices", headers={"Authorization": f"Bearer {service.token()}"})
    assert problem(answer) == (503, "identity_unavailable") and int(answer["Retry-After"]) > 0


@pytest.mark.parametrize(
    "change",
    [{"kty": "RSA"}, {"crv": "P-384"}, {"use": "enc"}, {"alg": "ES384"}, {"kid": ""}, {"kid": None}, {"x": "A"}],
)
def test_a_key_of_another_kind_is_left_out_of_the_set(service: Service, change: dict[str, Any]) -> None:
    (entry,) = json.loads(service.published())["keys"]
    assert list(parse_key_set({"keys": [entry, entry | change, 7]})) == ["one"]
    assert parse_key_set({"keys": [entry | change]}) == {}


def test_the_command_issues_a_token_that_this_machine_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("issue_token", "--permissions", "invoice.read", "audit.read", "--merchants", "m-1", "--sub", "lan")
    principal = identity.verifier().principal(capsys.readouterr().out.strip())
    assert principal == Principal("lan", frozenset({"invoice.read", "audit.read"}), frozenset({"m-1"}))


def test_the_command_and_the_local_keys_refuse_to_serve_production(settings: Any) -> None:
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
