"""What was asked of which replica and is not answered yet, so that nobody waits for one that will never answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import Unavailable

Waiting = dict[asyncio.Timeout, str]
"""Requests to one replica, the oldest first, each with the connection to NATS over which it was to hear of it."""


class UnderWay:
    def __init__(self) -> None:
        self._waiting: defaultdict[str, Waiting] = defaultdict(dict)
        self._looked_at: dict[str, Waiting] = {}

    @asynccontextmanager
    async def at(self, replica: str, connection: str) -> AsyncIterator[None]:
        """Around a request to this replica: raises Unavailable when it is ended."""
        try:
            async with asyncio.timeout(None) as limit:
                self._waiting[replica][limit] = connection
                try:
                    yield
                finally:
                    del self._waiting[replica][limit]
                    if not self._waiting[replica]:
                        del self._waiting[replica]
        except TimeoutError:
            raise Unavailable from None

    def look(self) -> dict[str, Waiting]:
        """What has waited ever since the last look, by replica."""
        before, self._looked_at = self._looked_at, {name: waiting.copy() for name, waiting in self._waiting.items()}
        both = {name: _common(waiting, before.get(name, {})) for name, waiting in self._looked_at.items()}
        return {name: waiting for name, waiting in both.items() if waiting}

    def end(self, replica: str, requests: Waiting) -> None:
        """They fail at once; what was answered meanwhile stays answered."""
        now = asyncio.get_running_loop().time()
        for limit in _common(requests, self._waiting.get(replica, {})):
            limit.reschedule(now)


def _common(some: Waiting, others: Waiting) -> Waiting:
    return {limit: connection for limit, connection in some.items() if limit in others}
