"""TCP fault proxies: a link stands between two processes; it passes on, delays, holds back, or cuts.

All links live in one thread of their own, so that they go on while a test blocks; what is public is for other threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from deploy.embedded import free_port

LINE_LIMIT = 1 << 20
_CHUNK = 1 << 16
_TROUBLE = (OSError, asyncio.IncompleteReadError)

AnyLink = TypeVar("AnyLink", bound="Link")


class Links:
    """Makes links, and ends them all with its block."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._made: list[Link] = []
        self.taken: set[int] = set()
        """Ports of others, who don't listen there yet."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self._made:
            link.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(self, port: int) -> Link:
        """A new link to what listens on this loopback port, or will."""
        return self.add(Link(self, port))

    def add(self, link: AnyLink) -> AnyLink:
        """Opens it, and keeps it until the end."""
        self._made.append(link)
        link.restore()
        return link

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class Way:
    """One direction of a link, for all its connections."""

    def __init__(self) -> None:
        self.late = 0.0
        self.passing = asyncio.Event()
        self.passing.set()

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(_CHUNK):
            await self.passing.wait()
            if self.late:
                # Nothing else comes meanwhile: so no byte overtakes another.
                await asyncio.sleep(self.late)
            sink.write(chunk)
            await sink.drain()


class Link:
    """Stands before what listens on `target`, for any number of clients; `port` is where they come."""

    def __init__(self, links: Links, target: int) -> None:
        self._links = links
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._there, self.back = Way(), Way()
        self.port = free_port(links.taken)

    # From other threads.

    def cut(self) -> None:
        """Ends all connections and refuses new ones."""
        self._links.run(self._cut())

    def restore(self) -> None:
        """Takes connections, again, on the same port, and passes everything on at once."""
        self._links.run(self._restore())

    def hold(self, *, there: bool = True, back: bool = True) -> None:
        """From now on nothing comes through in these directions, and no connection ends: as if packets were dropped."""
        self._links.run(self._hold(there, back))

    def delay(self, seconds: float) -> None:
        """From now on each piece takes so long, each way, and the next one waits for it."""
        self._links.run(self._delay(seconds))

    # In the links' thread.

    async def _restore(self) -> None:
        for way in (self._there, self.back):
            way.late = 0.0
            way.passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=LINE_LIMIT)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _hold(self, there: bool, back: bool) -> None:
        for way, held in ((self._there, there), (self.back, back)):
            if held:
                way.passing.clear()

    async def _delay(self, seconds: float) -> None:
        self._there.late = self.back.late = seconds

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._connect(client, to_client))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter | None = None
        with suppress(*_TROUBLE):
            try:
                server, to_server = await asyncio.open_connection("127.0.0.1", self._target, limit=LINE_LIMIT)
                ends = [
                    asyncio.ensure_future(self._there.carry(client, to_server)),
                    asyncio.ensure_future(self.carry_back(server, to_client)),
                ]
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for end in ends:
                        end.cancel()
                    await asyncio.gather(*ends, return_exceptions=True)
            finally:
                for writer in filter(None, (to_client, to_server)):
                    writer.transport.abort()

    async def carry_back(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """What the server says."""
        await self.back.carry(server, to_client)
