"""A TCP proxy before nats-server: it loses, doubles, swaps and delays hints, and cuts its clients off.

It reads what the server sends, by NATS's client protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol):
a `MSG` or `HMSG` line with its sizes, then the payload. Only hints, on subjects beginning `ev.`, are ever touched. It
runs in a thread of its own, so that it goes on while a test blocks; all methods are for other threads.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from deploy.embedded import free_port

_LINE_LIMIT = 1 << 20
_CHUNK = 1 << 16
_LONGEST_SWAP = 0.05
_TROUBLE = (OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True)
class Faults:
    """The shares of all hints that are lost, come twice, or come after the next one."""

    lost: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0

    def draw(self, chance: float) -> str:
        """What becomes of a hint, for a number between 0 and 1."""
        if chance < self.lost:
            return "lost"
        if chance < self.lost + self.doubled:
            return "doubled"
        return "swapped" if chance < self.lost + self.doubled + self.swapped else "passed"


class Proxy:
    """Stands before one nats-server for any number of clients. `done` counts what became of the hints."""

    def __init__(self, upstream: str, seed: int) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname, address.port)
        self._chances = random.Random(seed)
        self._doomed: Counter[str] = Counter()
        self._late: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = free_port()
        self.faults = Faults()
        self.done: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Ends all connections and refuses new ones."""
        self._run(self._cut())

    def restore(self) -> None:
        """Takes connections, again, on the same port."""
        self._run(self._listen())

    def lose_next(self, subject: str, hints: int) -> None:
        """The next so many hints on this subject are lost, whatever the shares."""
        self._doomed[subject] = hints

    def delay(self, subject: str, seconds: float) -> None:
        """From now on the hints on this subject come so late, while others overtake them; 0 ends it."""
        self._late[subject] = seconds

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # In the proxy's own thread.

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_LINE_LIMIT)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._connect(client, to_client))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter | None = None
        with suppress(*_TROUBLE):
            try:
                server, to_server = await asyncio.open_connection(*self._upstream, limit=_LINE_LIMIT)
                directions = (_copy(client, to_server), Hints(self, server, to_client).run())
                ends = [asyncio.ensure_future(direction) for direction in directions]
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for end in ends:
                        end.cancel()
                    await asyncio.gather(*ends, return_exceptions=True)
            finally:
                for writer in filter(None, (to_client, to_server)):
                    writer.transport.abort()

    def lateness(self, subject: str) -> float:
        return self._late.get(subject, 0.0)

    def fate(self, subject: str) -> str:
        """What is to become of a hint."""
        fate = self.faults.draw(self._chances.random())
        if self._doomed[subject]:
            self._doomed[subject] -= 1
            fate = "lost"
        self.done[fate] += 1
        return fate


class Hints:
    """The messages of one connection on their way from the server to the client."""

    def __init__(self, proxy: Proxy, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._server = server
        self._to_client = to_client
        self._kept: list[bytes] = []

    async def run(self) -> None:
        while line := await self._server.readline():
            operation, *arguments = line.split()
            message = line
            if operation in {b"MSG", b"HMSG"}:
                message += await self._server.readexactly(int(arguments[-1]) + len(b"\r\n"))
            if operation == b"MSG" and arguments[0].startswith(b"ev."):
                self._hint(arguments[0].decode(), message)
            else:
                self._to_client.write(message)
            await self._to_client.drain()

    def _hint(self, subject: str, message: bytes) -> None:
        if late := self._proxy.lateness(subject):
            asyncio.get_running_loop().call_later(late, self._write, [message])
            return
        match self._proxy.fate(subject):
            case "doubled":
                self._to_client.write(message * 2)
            case "swapped":
                self._kept.append(message)
                asyncio.get_running_loop().call_later(_LONGEST_SWAP, self._let_out)
                return
            case "passed":
                self._to_client.write(message)
        self._let_out()

    def _let_out(self) -> None:
        """What had to wait for the next hint, or waited long enough for one."""
        kept, self._kept = self._kept, []
        self._write(kept)

    def _write(self, messages: list[bytes]) -> None:
        if not self._to_client.transport.is_closing():
            self._to_client.writelines(messages)


async def _copy(client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
    while chunk := await client.read(_CHUNK):
        to_server.write(chunk)
        await to_server.drain()
