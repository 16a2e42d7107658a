"""Connections that never authenticate, watched until the gateway closes them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.client import Client

LONGEST = 60.0


@dataclass(frozen=True)
class Ending:
    """How a connection ended, and how many seconds it had lasted."""

    code: int | None
    seconds: float


@dataclass(frozen=True)
class Idle:
    """`silent` sent nothing, `pinging` one ping after `ping_at` seconds."""

    silent: Ending
    pinging: Ending
    ping_at: float


async def watch_idle(url: str, ping_at: float = 6.0) -> Idle:
    silent, pinging = await asyncio.gather(_watch(url), _watch(url, ping_at))
    return Idle(silent, pinging, ping_at)


async def _watch(url: str, ping_at: float | None = None) -> Ending:
    async with await Client.connect(url) as client:
        begun = time.monotonic()
        if ping_at is not None:
            await asyncio.sleep(ping_at)
            await client.call("ping")
        code = await client.closed(LONGEST)
        return Ending(code, time.monotonic() - begun)
