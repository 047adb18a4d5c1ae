"""Where a merchant may have us call: the public internet by https, and nothing of our own network.

The address is judged where it is used: a name is resolved once for each connection, every address that it has must
be public, and the socket is opened to one of exactly those. A name that answers otherwise a moment later changes
nothing. A URL is read by the one parser that the client uses too, so that no two readings differ.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int, int], Awaitable[list[tuple[int, str]]]]  # host, port, family → family and address

# What `is_global` lets through although it is not the merchant's server.
NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata is at .192
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's host, by a public address
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
        "64:ff9b:1::/48",  # NAT64 of a network's own
        "2001::/23",  # Teredo and other protocols' addresses
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
]
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # where a network without IPv4 finds everybody
COMPATIBLE = ipaddress.ip_network("::/96")
OURS = ("localhost", "local", "internal", "localdomain", "home.arpa", "lan", "intranet", "test", "invalid")


class Forbidden(OSError):
    """Not an address for us. The message may be shown: it tells nothing that the URL's owner does not know."""


def check_url(text: str) -> URL:
    """The URL as it will be called. Raises Forbidden. Names are judged when they are resolved, not here."""
    if len(text) > 500 or not text.isascii() or any(letter <= " " or letter in '\\"<>^`{|}' for letter in text):
        raise Forbidden("This is no plain address: at most 500 ASCII characters without blanks.")
    try:
        url = URL(text)
        host, port, scheme = url.host or "", url.port, url.scheme
    except ValueError:
        raise Forbidden("This is no address.") from None
    loopback = settings.WEBHOOK_ALLOW_LOOPBACK
    if scheme != "https" and not (scheme == "http" and loopback):
        raise Forbidden("This must be an https address.")
    if "@" in url.raw_authority or url.raw_fragment or "#" in text:
        raise Forbidden("A login or a fragment has no place in this address.")
    if port not in (443, 80 if loopback else 443) and not (settings.WEBHOOK_HIGH_PORTS and port and port >= 1024):
        raise Forbidden("Port 443 is the only one that we call.")
    if not host or "%" in host:
        raise Forbidden("This address has no host that we can call.")
    if address := _literal(host):
        check_address(address)
    elif not loopback and ("." not in host.rstrip(".") or host.rstrip(".").lower().endswith(_ends())):
        raise Forbidden("This name is not one of the public internet.")
    return url


def check_address(address: Address) -> None:
    """Raises Forbidden where an address is not of the public internet, whatever it is wrapped in."""
    inner = _unwrapped(address)
    if settings.WEBHOOK_ALLOW_LOOPBACK and inner.is_loopback:
        return
    if (
        not inner.is_global
        or inner.is_multicast
        or inner.is_reserved
        or inner.is_unspecified
        or any(inner in network for network in NOT_PUBLIC if network.version == inner.version)
    ):
        raise Forbidden("This address is not one of the public internet.")


class PublicOnly(AbstractResolver):
    """Resolves a name once. One address that is not public condemns the name: its owner has no business with it."""

    def __init__(self, look_up: Lookup | None = None) -> None:
        self.look_up = look_up or system_look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self.look_up(host, port, family)
        for _, text in found:
            check_address(ipaddress.ip_address(text))
        return [
            {
                "hostname": host,
                "host": text,
                "port": port,
                "family": kind,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for kind, text in found
        ]

    async def close(self) -> None:
        pass


async def system_look_up(host: str, port: int, family: int) -> list[tuple[int, str]]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [(kind, str(address[0])) for kind, _, _, _, address in found]


def connector(look_up: Lookup | None = None, **options: Any) -> aiohttp.TCPConnector:
    """A connector that reaches public addresses only. Made inside the running loop."""
    return aiohttp.TCPConnector(
        resolver=PublicOnly(look_up), use_dns_cache=False, socket_factory=_open_socket, **options
    )


def _open_socket(info: Any) -> socket.socket:
    """The last line, whichever way an address came here: nothing connects to what was not judged."""
    family, kind, protocol, _, address = info
    check_address(ipaddress.ip_address(address[0]))
    return socket.socket(family, kind, protocol)


def _literal(host: str) -> Address | None:
    """An address written as one. Raises Forbidden for the spellings that only a C library reads: 127.1, 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        socket.inet_aton(host.rstrip("."))
    except (OSError, ValueError):
        return None
    raise Forbidden("Write an address of four numbers, or a name.")


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _ends() -> tuple[str, ...]:
    return tuple(f".{name}" for name in OURS)
