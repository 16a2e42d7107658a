"""Whose token it is: asked of presence for whoever authenticates or uploads."""

from __future__ import annotations

from services.gateway.limits import Limits
from services.gateway.upstream import Upstream
from shared.protocol.account import IDENTIFY, Identify, Identity


class Tokens:
    def __init__(self, upstream: Upstream, limits: Limits) -> None:
        self._upstream = upstream
        self._limits = limits

    async def owner(self, token: str, address: str, until: float) -> Identity:
        """Raises what presence refuses with, RateLimited or Unavailable; `until` is on the monotonic clock."""
        payload = Identify(token=token).model_dump_json().encode()
        with self._limits.showing_token(address):
            reply = await self._upstream.forward(
                IDENTIFY, payload, user_id="", session_id="", until=until, address=address
            )
        return Identity.model_validate_json(reply.payload, extra="ignore")
