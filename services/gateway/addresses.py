"""Whose address a request comes from: the peer's, or what the balancers before us say of theirs."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from shared.telemetry import FORWARDED_IN_VAIN, logger

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_FORWARDED_FOR = "X-Forwarded-For"
_WITH_PORT = re.compile(r"\[([^]]*)\](?::\d+)?|([^:]*):\d+")
_ONE_SITE = 64
"""Bits of an IPv6 address that tell one customer of a provider from the next; below that they choose themselves."""

_WARN_EVERY = 600.0


class Addresses:
    """Says so when somebody whom it doesn't trust speaks for others, as a balancer does that it wasn't told of."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._warns_at = 0.0

    def of(self, request: web.Request) -> str:
        """As text; an IPv6 address as its site's network, and nothing where there is none."""
        peer, forwarded = request.remote or "", request.headers.getall(_FORWARDED_FOR, [])
        if forwarded and not _is_in(_parsed(peer), self._trusted):
            FORWARDED_IN_VAIN.inc()
            self._warn(peer)
        return origin(peer, forwarded, self._trusted)

    def _warn(self, peer: str) -> None:
        if (now := time.monotonic()) >= self._warns_at:
            self._warns_at = now + _WARN_EVERY
            logger().warning(
                "forwarded_for_not_believed",
                peer=peer,
                advice="if this is a balancer of yours, name it in TRUSTED_PROXIES: or all its clients share one limit",
            )


def origin(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The last address in the chain that is none of our own proxies'.

    Each proxy adds at the right end whom it was asked by. So what stands left of the first that isn't trusted was
    written by the client, whatever it says; and so may be what stands left of something unreadable.
    """
    address = _parsed(peer)
    for each in reversed(",".join(forwarded).split(",")):
        before = _parsed(each)
        if before is None or not _is_in(address, trusted):
            break
        address = before
    return _site(address)


def _is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


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
