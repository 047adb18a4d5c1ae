"""Addresses that we call: https on the public internet, nothing in our own network.

The address is checked when it is used: a name is resolved once for each connection, all of its addresses must be
public, and the socket connects to one of exactly these. So a name whose address changes a moment later (DNS rebinding)
does no harm. The URL is parsed by the client's own parser, so that check and call cannot differ.
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
Resolve = Callable[[str, int, int], Awaitable[list[tuple[int, str]]]]  # host, port, family → family and address

# Networks that `is_global` accepts although no merchant's server is in them.
NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata is at .192
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's host, by a public address
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "64:ff9b:1::/48",  # local-use NAT64
        "2001::/23",  # Teredo and other protocols' addresses
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
]
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 addresses, as seen in an IPv6-only network
COMPATIBLE = ipaddress.ip_network("::/96")
PRIVATE_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".localdomain",
    ".home.arpa",
    ".lan",
    ".intranet",
    ".test",
    ".invalid",
)


class Forbidden(OSError):
    """An address that we do not call. The message may be shown: it says nothing that the URL's owner does not know."""


def check_url(text: str) -> URL:
    """The URL as it will be called. Raises Forbidden. A name's addresses are checked when it is resolved, not here."""
    if len(text) > 500 or not text.isascii() or any(letter <= " " or letter in '\\"<>^`{|}' for letter in text):
        raise Forbidden("The address must have at most 500 ASCII characters and no spaces.")
    try:
        url = URL(text)
        host, port, scheme = url.host or "", url.port, url.scheme
    except ValueError:
        raise Forbidden("This is not an address.") from None
    loopback = settings.WEBHOOK_ALLOW_LOOPBACK
    if scheme != "https" and not (scheme == "http" and loopback):
        raise Forbidden("This must be an https address.")
    if "@" in url.raw_authority or url.raw_fragment or "#" in text:
        raise Forbidden("The address must have no login and no fragment.")
    if port not in (443, 80 if loopback else 443) and not (settings.WEBHOOK_HIGH_PORTS and port and port >= 1024):
        raise Forbidden("Only port 443 is allowed.")
    if not host or "%" in host:
        raise Forbidden("This address has no host that can be called.")
    if address := _literal(host):
        check_address(address)
    elif not loopback and ("." not in host.rstrip(".") or host.rstrip(".").lower().endswith(PRIVATE_SUFFIXES)):
        raise Forbidden("This name is not on the public internet.")
    return url


def check_address(address: Address) -> None:
    """Raises Forbidden if an address, or the IPv4 address inside it, is not on the public internet."""
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
        raise Forbidden("This address is not on the public internet.")


class PublicResolver(AbstractResolver):
    """Resolves a name once. If one of its addresses is not public, the name is refused."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or system_resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port, family)
        for _, text in addresses:
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
            for kind, text in addresses
        ]

    async def close(self) -> None:
        pass


async def system_resolve(host: str, port: int, family: int) -> list[tuple[int, str]]:
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [(kind, str(address[0])) for kind, _, _, _, address in infos]


def public_connector(resolve: Resolve | None = None, **options: Any) -> aiohttp.TCPConnector:
    """A connector that reaches public addresses only. Must be called in the running event loop."""
    return aiohttp.TCPConnector(
        resolver=PublicResolver(resolve), use_dns_cache=False, socket_factory=_open_socket, **options
    )


def _open_socket(info: Any) -> socket.socket:
    """The last check before connecting, however the address was found."""
    family, kind, protocol, _, address = info
    check_address(ipaddress.ip_address(address[0]))
    return socket.socket(family, kind, protocol)


def _literal(host: str) -> Address | None:
    """A host that is an IP address. Raises Forbidden for forms that only C libraries accept: 127.1, 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        socket.inet_aton(host.rstrip("."))
    except (OSError, ValueError):
        return None
    raise Forbidden("Write an IP address as four numbers, or use a name.")


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address contains, if it contains one; else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
