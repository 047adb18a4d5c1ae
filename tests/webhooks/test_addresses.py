"""Endpoints cannot make us call our own network: not by address, by name, or by a name whose address changes."""

import asyncio
import ipaddress
import socket
from typing import Any

import aiohttp
import pytest

from config.base import clock
from tests.webhooks.receivers import receiving
from webhooks.outbound import sending
from webhooks.outbound.addresses import Forbidden, check_address, check_url, public_connector
from webhooks.outbound.sending import Call, send

PUBLIC = "93.184.215.14"


@pytest.fixture(autouse=True)
def as_in_production(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = settings.WEBHOOK_HIGH_PORTS = False


HOSTILE = [
    "http://hooks.example/h",  # in clear
    "ftp://hooks.example/h",
    "file:///etc/passwd",
    "gopher://hooks.example/_x",
    "//hooks.example/h",
    "https://",
    "https:///h",
    "https://user:pass@hooks.example/h",
    "https://hooks.example@127.0.0.1/h",
    "https://hooks.example/h#fragment",
    "https://hooks.example/h#",
    "https://hooks.example:22/h",
    "https://hooks.example:6379/h",
    "https://hooks.example:99999/h",
    "https://127.0.0.1/h",
    "https://127.8.8.8/h",
    "https://0.0.0.0/h",
    "https://10.0.0.1/h",
    "https://172.16.3.4/h",
    "https://192.168.1.1/h",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://168.63.129.16/machine",
    "https://100.64.0.1/h",
    "https://192.0.2.1/h",
    "https://198.18.0.1/h",
    "https://224.0.0.1/h",
    "https://240.0.0.1/h",
    "https://255.255.255.255/h",
    "https://2130706433/h",
    "https://0x7f000001/h",
    "https://0x7f.1/h",
    "https://0177.0.0.1/h",
    "https://127.1/h",
    "https://[::1]/h",
    "https://[::]/h",
    "https://[::ffff:127.0.0.1]/h",
    "https://[::ffff:a9fe:a9fe]/h",
    "https://[::127.0.0.1]/h",
    "https://[64:ff9b::7f00:1]/h",
    "https://[64:ff9b::a9fe:a9fe]/h",
    "https://[64:ff9b:1::1]/h",
    "https://[2002:7f00:1::]/h",
    "https://[2001:0:7f00:1::1]/h",
    "https://[fe80::1]/h",
    "https://[fe80::1%25eth0]/h",
    "https://[fc00::1]/h",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fec0::1]/h",
    "https://[ff02::1]/h",
    "https://[2001:db8::1]/h",
    "https://localhost/h",
    "https://LOCALHOST./h",
    "https://redis/h",
    "https://db.internal/h",
    "https://printer.local/h",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://ⓛocalhost/h",
    "https://①②⑦.⓪.⓪.①/h",
    "https://hooks.example\\@127.0.0.1/h",
    "https://127.0.0.1\t.hooks.example/h",
    "https://hooks.example/h\r\nX-Evil: 1",
    "https://127.0.0.1%00.hooks.example/h",
    "https://" + "a" * 500 + ".example/h",
]


@pytest.mark.parametrize("url", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/h?a=b",
        "https://hooks.example:443/h",
        "https://xn--han-gna5mo8a.example/h",
        f"https://{PUBLIC}/h",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/h",
        "https://[64:ff9b::5db8:d70e]/h",  # a public IPv4 address, in an IPv6-only network
    ],
)
def test_a_public_address_is_accepted(url: str) -> None:
    assert check_url(url).host


def test_high_ports_and_loopback_are_settings(settings: Any) -> None:
    settings.WEBHOOK_HIGH_PORTS = True
    assert check_url("https://hooks.example:8443/h").port == 8443
    with pytest.raises(Forbidden):
        check_url("https://hooks.example:22/h")
    with pytest.raises(Forbidden):
        check_url("https://127.0.0.1:8443/h")
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    assert check_url("http://127.0.0.1:8443/h").port == 8443
    with pytest.raises(Forbidden):
        check_url("http://10.0.0.1:8443/h")


@pytest.mark.parametrize("text", ["0.0.0.0", "10.9.8.7", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::2"])
def test_an_address_is_checked_by_the_address_inside_it(text: str) -> None:
    with pytest.raises(Forbidden):
        check_address(ipaddress.ip_address(text))


class Dns:
    """A name server that gives the next answer at each query."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.queries = list(answers), 0

    async def __call__(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        self.queries += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET6 if ":" in text else socket.AF_INET, text) for text in addresses]


def call_through(dns: Dns, url: str = "https://hooks.example/h") -> tuple[Any, list[tuple[str, int]]]:
    """The result of a delivery to a name, and the addresses that a socket connected to."""
    connected: list[tuple[str, int]] = []

    async def go() -> Any:
        loop = asyncio.get_running_loop()

        async def connect(_: socket.socket, address: Any) -> None:
            connected.append(address[:2])
            raise ConnectionRefusedError

        loop.sock_connect = connect  # type: ignore[method-assign,assignment]
        async with aiohttp.ClientSession(connector=public_connector(dns)) as session:
            return await send(session, Call(1, 1, clock.now(), 1, url, "e-1", "{}", ["whsec_c2VjcmV0"]))

    return asyncio.run(go()), connected


def test_a_name_is_resolved_once_and_that_address_is_called() -> None:
    dns = Dns([PUBLIC], ["127.0.0.1"])
    result, connected = call_through(dns)
    assert (dns.queries, connected) == (1, [(PUBLIC, 443)])
    assert not result.ok


def test_a_name_that_resolves_to_a_private_address_later_is_refused_then() -> None:
    """DNS rebinding: public when it was checked, private when it is called."""
    dns = Dns([PUBLIC], ["169.254.169.254"])
    assert call_through(dns)[1] == [(PUBLIC, 443)]
    result, connected = call_through(dns)
    assert (connected, result.status, result.error) == ([], None, "This address is not on the public internet.")


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "192.168.0.1"], ["::1", PUBLIC], ["::ffff:169.254.169.254"]]
)
def test_a_name_with_one_private_address_is_refused(answer: list[str]) -> None:
    result, connected = call_through(Dns(answer))
    assert connected == [] and "public" in result.error


def test_no_socket_is_opened_to_an_address_that_was_not_checked() -> None:
    """If no resolver is used, the socket itself refuses."""

    async def go(url: str) -> None:
        async with aiohttp.ClientSession(connector=public_connector()) as session:
            await session.get(url)

    with receiving() as neighbour:
        with pytest.raises(aiohttp.ClientConnectorError):
            asyncio.run(go(neighbour.url))
        assert neighbour.tries == 0


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        result = _delivered("https://127.0.0.1/h")
        assert (proxy.tries, result.error) == (0, "This address is not on the public internet.")


def _delivered(url: str) -> Any:
    import queue

    results: queue.Queue[Any] = queue.Queue()
    sending.start_sending(Call(1, 1, clock.now(), 1, url, "e-1", "{}", ["whsec_c2VjcmV0"]), results)
    return results.get(timeout=10)
