"""Where requests of users may go: to no address of this machine or its networks, unless that is allowed.

A name is looked up once for each connection, and the connection goes to the address that was looked at: a
name that means another address a moment later gains nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Hashable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from runcast_api.outgoing.lookups import Lookups

URL_CHARACTERS = 2000
TRIED = 3
"""Addresses of a name that are tried."""
CONNECT_SECONDS = 5.0
"""For each of them but the last: one that doesn't answer (a half-broken IPv6) leaves time for the next."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_OWN_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""Of one network's own translation (RFC 8215), which may have the IPv4 address at its end, or elsewhere."""
_COMPATIBLE = ipaddress.ip_network("::/96")
_METADATA = tuple(
    ipaddress.ip_network(one)
    for one in (
        "168.63.129.16/32",  # Azure
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "fd00:c1::/32",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::/32",  # Google
        "fd00:42::/32",  # Scaleway
        "fd00:a9fe:a9fe::/48",  # Akamai
    )
)
"""Where clouds answer their machines with secrets, besides link-local addresses."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that is routed over the internet in IPv6. What lies outside is local, or stands for something else
(`::10.0.0.1`, fec0::/10)."""

Address = IPv4Address | IPv6Address


class Refused(Exception):
    """An address to which nothing is sent; says why."""


def check_url(url: str, *, allows_private: bool) -> None:
    """Raises `Refused` for what is no address of the web, holds a password, or is an address that is
    refused. A name is looked up only when something is sent."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        raise Refused("isn't a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("isn't a URL that begins with https:// or http://")
    if len(url) > URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise Refused(
            f"is longer than {URL_CHARACTERS} characters, or holds a space or a letter that isn't ASCII"
        )
    if parts.username is not None or parts.password is not None:
        raise Refused("holds a name or password; what is sent is signed instead")
    if port == 0:
        raise Refused("names port 0")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    check(address, allows_private=allows_private)


def check(address: Address, *, allows_private: bool, shown: str | None = None) -> None:
    """Raises `Refused` for a private address; for those of clouds' metadata, link-local ones among them, even
    where private ones are allowed. `shown` stands for the address in what is said of it."""
    shown = shown or str(address)
    meant = _meant(address)
    if any(_is_no_receiver(one) for one in meant):
        raise Refused(f"{shown} is no address that anything is sent to")
    if not allows_private and not all(_is_public(one) for one in meant):
        raise Refused(f"{shown} is a private address; WEBHOOK_PRIVATE=1 allows those")


def _is_no_receiver(address: Address) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or any(address in network for network in _METADATA)
    )


def _is_public(address: Address) -> bool:
    return address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)


def _meant(address: Address) -> tuple[Address, ...]:
    """The IPv4 address that an IPv6 address stands for, where it does; both, where it only may."""
    if isinstance(address, IPv4Address):
        return (address,)
    last = IPv4Address(address.packed[-4:])
    if address in _NAT64:
        return (last,)
    if address in _OWN_NAT64 or address in _COMPATIBLE:
        return address, last
    teredo = address.teredo
    inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    return (address,) if inner is None else (inner,)


class CheckedNetwork(AsyncNetworkBackend):
    """Connects to addresses that were checked. `payer` takes turns at looking names up."""

    def __init__(self, lookups: Lookups, payer: Hashable, *, allows_private: bool) -> None:
        self._lookups = lookups
        self._payer = payer
        self._allows_private = allows_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's own signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """Raises `Refused` where one of the name's addresses is refused, `httpcore.ConnectError` where it has
        none."""
        addresses = await self._resolve(host, port)
        for address in addresses:
            # What a name means in the server's own network is told to no one.
            check(address, allows_private=self._allows_private, shown="what the name stands for")
        for address in addresses[:-1][: TRIED - 1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                bound = min(timeout or CONNECT_SECONDS, CONNECT_SECONDS)
                return await self._connect(address, port, bound, local_address, socket_options)
        return await self._connect(addresses[-1], port, timeout, local_address, socket_options)

    async def _connect(self, address: Address, *how: Any) -> AsyncNetworkStream:
        return await self._network.connect_tcp(str(address), *how)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        raise Refused("nothing is sent to a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        with contextlib.suppress(ValueError):
            return [ipaddress.ip_address(host)]
        try:
            found = await self._lookups.find(self._payer, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} has no address: {error}") from None
        # A zone (fe80::1%eth0) belongs to link-local addresses alone.
        return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
