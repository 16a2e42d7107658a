"""Who connects and asks for nothing, or says it a letter at a time, is not kept on the doorstep; nor are too many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

_LOOKS = 4
"""Times that it looks while somebody may stand there."""


class Doorstep:
    """Closes each connection from which no request has come, whole but for its body, within about `timeout` seconds.

    Later requests of a connection have the time of any that is kept open between two; but of more than `most` that
    ask for nothing at the time, those that have done so for longest go.
    """

    def __init__(self, timeout: float, most: int, connections: Callable[[], list[web.RequestHandler]]) -> None:
        self._timeout = timeout
        self._most = most
        self._connections = connections
        self._asked: set[object] = set()
        self._since: dict[web.RequestHandler, float] = {}
        """When each was first seen that has not asked."""
        self._busy: set[object] = set()
        self._idle: dict[web.RequestHandler, None] = {}
        """In the order in which they were first seen so."""

    @web.middleware
    async def let_in(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._asked.add(request.protocol)
        self._busy.add(request.protocol)
        self._idle.pop(request.protocol, None)
        try:
            response: web.StreamResponse = await handler(request)
            return response
        finally:
            self._busy.discard(request.protocol)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._timeout / _LOOKS)
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        open_ones = self._connections()
        self._asked.intersection_update(open_ones)
        self._since = {each: self._since.get(each, now) for each in open_ones if each not in self._asked}
        for each, since in self._since.items():
            if now - since >= self._timeout:
                each.force_close()
        idle = dict.fromkeys(each for each in open_ones if each not in self._busy)
        self._idle = {each: None for each in self._idle if each in idle} | idle
        for each in list(self._idle)[: max(len(self._idle) - self._most, 0)]:
            each.force_close()
