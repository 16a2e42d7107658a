"""Whose address a request comes from: the peer's, or what the balancers before us say of theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_FORWARDED_FOR = "X-Forwarded-For"
_WITH_PORT = re.compile(r"\[([^]]*)\](?::\d+)?|([^:]*):\d+")
_ONE_SITE = 64
"""Bits of an IPv6 address that tell one customer of a provider from the next; below that they choose themselves."""


def address_of(request: web.Request, trusted: Sequence[Network]) -> str:
    """As text; an IPv6 address as its site's network, and nothing where there is none."""
    return origin(request.remote or "", request.headers.getall(_FORWARDED_FOR, []), trusted)


def origin(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The last address in the chain that is none of our own proxies'.

    Each proxy adds at the right end whom it was asked by. So what stands left of the first that isn't trusted was
    written by the client, whatever it says; and so may be what stands left of something unreadable.
    """
    address = _parsed(peer)
    for each in reversed(",".join(forwarded).split(",")):
        before = _parsed(each)
        if before is None or address is None or not any(address in network for network in trusted):
            break
        address = before
    return _site(address)


def _parsed(text: str) -> Address | None:
    """Some proxies add the port."""
    match = _WITH_PORT.fullmatch(text.strip())
    try:
        address = ip_address((match[1] or match[2]) if match else text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _site(address: Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address.packed, _ONE_SITE), strict=False))
    return str(address or "")
