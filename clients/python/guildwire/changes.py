"""What an app is told: one small record per change of the cache, of the connection, and of what passes by."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Self

What = Literal[
    "cache",
    "connection",
    "server",
    "category",
    "channel",
    "role",
    "member",
    "user",
    "friend",
    "settings",
    "message",
    "page",
    "direct",
    "read",
    "outgoing",
    "typing",
]
Action = Literal["added", "changed", "deleted"]

MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """`id` is what changed, `within` the server or channel it belongs to; the cache already has the new state.

    `page`: messages of the channel `id` were read, or may have changed in many places. `cache` with `deleted`: all of
    it is gone. `cache` with `changed`: this reader was too slow, anything may have changed.
    """

    what: What
    action: Action
    id: str | int = ""
    within: str = ""


class Changes:
    """One reader's changes, from its making on. It never holds up the client."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._waiting: deque[Change] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def put(self, change: Change) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            change = Change("cache", "changed")
        self._waiting.append(change)
        self._arrived.set()

    def take_all(self) -> list[Change]:
        """What has come and was not taken yet."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    async def batch(self) -> list[Change]:
        """Waits for a change, and returns all that have come: for apps that draw once for many. Empty at the end."""
        while not self._waiting and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        return self.take_all()

    def close(self) -> None:
        self._closed = True
        self._arrived.set()
        self._board.leave(self)

    def __aiter__(self) -> AsyncIterator[Change]:
        return self._each()

    async def _each(self) -> AsyncIterator[Change]:
        while changes := await self.batch():
            for change in changes:
                yield change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Board:
    """Hands every change to all who read."""

    def __init__(self) -> None:
        self._readers: list[Changes] = []

    def post(self, change: Change) -> None:
        for reader in self._readers:
            reader.put(change)

    def read(self) -> Changes:
        reader = Changes(self)
        self._readers.append(reader)
        return reader

    def leave(self, reader: Changes) -> None:
        if reader in self._readers:
            self._readers.remove(reader)

    def close(self) -> None:
        for reader in tuple(self._readers):
            reader.close()
