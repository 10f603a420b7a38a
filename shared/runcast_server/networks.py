"""Whose an address is, for limits that count by address."""

from __future__ import annotations

import ipaddress

CLIENT_BITS = 64
"""Of an IPv6 address, what one customer of a provider has at least (RFC 6177): with 2^64 addresses to choose
from, a limit on each would be none."""


def of(address: str) -> str:
    """What limits count a client's address as: an IPv4 address as it is, also where IPv6 carries it, and the
    network of an IPv6 address. What is no address is returned as it is."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found.is_loopback:
        return address
    return str(ipaddress.IPv6Network((int(found), CLIENT_BITS), strict=False))
