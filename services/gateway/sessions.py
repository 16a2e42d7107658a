"""Which sockets belong to which session: all of them are closed when it ends, wherever it was ended.

The word of it may be lost; so every gateway asks now and then which of its sessions still stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict

from services.gateway.connection import Connection
from services.gateway.upstream import TROUBLE, Upstream
from shared.bus import Bus
from shared.protocol.account import CHECK_SESSIONS, SESSION_ENDED_SUBJECT, CheckSessions
from shared.telemetry import logger

SESSION_ENDED = 4002
_PER_REQUEST = 200
_ENDED_REMEMBERED = 1000


class Sessions:
    def __init__(self, bus: Bus, upstream: Upstream, interval: float) -> None:
        self._bus = bus
        self._upstream = upstream
        self._interval = interval
        self._connections: dict[str, set[Connection]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._doubted = asyncio.Event()

    def add(self, connection: Connection) -> None:
        self._connections.setdefault(connection.session_id, set()).add(connection)
        if connection.session_id in self._ended:
            # It ended between the look at its token and now.
            connection.close(SESSION_ENDED)

    def doubt(self) -> None:
        """The word of an end may have been lost: ask now."""
        self._doubted.set()

    def remove(self, connection: Connection) -> None:
        if (connections := self._connections.get(connection.session_id)) is not None:
            connections.discard(connection)
            if not connections:
                del self._connections[connection.session_id]

    async def run(self) -> None:
        await self._bus.hear(SESSION_ENDED_SUBJECT, lambda payload: self._end(payload.decode(errors="replace")))
        while True:
            pause = self._interval * random.uniform(0.8, 1.2)  # noqa: S311 - not all gateways at once
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._doubted.wait()
            self._doubted.clear()
            try:
                await self._check()
            except TROUBLE as error:
                logger().warning("sessions_not_checked", error=str(error))

    async def _check(self) -> None:
        held = list(self._connections)
        for start in range(0, len(held), _PER_REQUEST):
            batch = CheckSessions(session_ids=held[start : start + _PER_REQUEST])
            for session_id in (await self._upstream.call(CHECK_SESSIONS, batch)).session_ids:
                self._end(session_id)

    def _end(self, session_id: str) -> None:
        self._ended[session_id] = None
        if len(self._ended) > _ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        for connection in tuple(self._connections.get(session_id, ())):
            # The one that ended it closes itself, after the reply.
            if not connection.logging_out:
                connection.close(SESSION_ENDED)
