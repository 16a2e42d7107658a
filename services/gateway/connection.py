"""One client's socket, as the rest of the gateway knows it: who it is, what it holds, what it is sent."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from services.gateway.outbox import Outbox
from shared.scopes import Scope
from shared.telemetry import DELIVERIES

if TYPE_CHECKING:
    from services.gateway.ordering import Feed

EVERYTHING = "*"
"""Held back like a scope: no event at all."""

TOO_SLOW = 4008

MISSED_PER_CONNECTION = 2_000
"""Missed entries that are told to one connection, all resumes together."""


class Connection:
    """Replies and events leave in the order in which they are handed over here.

    `proven` are the servers, and the direct channels, of which it is known that this client's sight has not changed;
    `attached_at` where it stood in each scope when it came, kept for a client that resumes.
    """

    __slots__ = (
        "_close",
        "_held",
        "_held_size",
        "_holds",
        "_outbox",
        "_released",
        "_underway",
        "attached_at",
        "authenticated",
        "caught_up",
        "closing",
        "directs",
        "feeds",
        "loaded_members",
        "logging_out",
        "proven",
        "replay_left",
        "servers",
        "session_id",
        "user_id",
        "user_scopes",
    )

    def __init__(self, outbox: Outbox, close: Callable[[int], None]) -> None:
        self._outbox = outbox
        self._close = close
        self._holds: dict[str, int] = {}
        self._held: list[tuple[Scope, bytes]] = []
        self._held_size = 0
        self._released = asyncio.Event()
        self._released.set()
        self._underway = 0
        self.caught_up = asyncio.Event()
        self.caught_up.set()
        self.closing = False
        self.logging_out = False
        self.authenticated = False
        self.user_id = ""
        self.session_id = ""
        self.feeds: set[Feed[Connection]] = set()
        self.servers: set[str] = set()
        self.directs: set[str] = set()
        self.loaded_members: set[str] = set()
        self.proven: set[str] = set()
        self.replay_left = MISSED_PER_CONNECTION
        self.attached_at: dict[str, int] = {}
        self.user_scopes: OrderedDict[str, None] = OrderedDict()

    def reply(self, frame: bytes) -> None:
        if not self.closing:
            self._outbox.put(frame)

    def event(self, scope: Scope, frame: bytes) -> None:
        """Sends an event, or keeps it while a reply of its scope is awaited."""
        if self.closing:
            return
        if self._must_wait(scope):
            self._held.append((scope, frame))
            self._held_size += len(frame)
        else:
            self._outbox.put(frame)
            DELIVERIES.inc()
        if self._outbox.overflows_with(self._held_size):
            self.close(TOO_SLOW)

    def passing(self, frame: bytes) -> None:
        """Sends what may as well be missed: not while there is much to send, or anything held back."""
        if not (self.closing or self._held or EVERYTHING in self._holds or self._outbox.is_half_full):
            self._outbox.put(frame)

    def close(self, code: int) -> None:
        """Nothing more is sent; the socket closes with `code`, after what is on its way."""
        if not self.closing:
            self.gone()
            self._close(code)

    def gone(self) -> None:
        """Nothing can be sent any more: lets go of whoever waits to."""
        self.closing = True
        self._held.clear()
        self._released.set()

    # Holding back: a reply is never older than an event already received.

    def hold(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._holds[scope] = self._holds.get(scope, 0) + 1
            if scope == EVERYTHING:
                self._released.clear()

    def release(self, scopes: Iterable[str]) -> None:
        """Lets go of the holds, and of every event that no other hold keeps; after the reply was handed over."""
        for name in scopes:
            self._holds[name] -= 1
            if not self._holds[name]:
                del self._holds[name]
                if name == EVERYTHING:
                    self._released.set()
        kept, self._held, self._held_size = self._held, [], 0
        for scope, frame in kept:
            self.event(scope, frame)

    def drop(self, scope: Scope) -> None:
        """What was held back of a scope that it has left is told no more: for the client the scope is gone."""
        if self._held:
            self._held = [(held, frame) for held, frame in self._held if held != scope]
            self._held_size = sum(len(frame) for _, frame in self._held)

    def _must_wait(self, scope: Scope) -> bool:
        """Held itself; or behind something held that it builds on: a channel on its server, all on one's self."""
        if not self._holds:
            return False
        if EVERYTHING in self._holds or scope.name in self._holds:
            return True
        before = {scope.name, f"server:{scope.within}"}
        return any(earlier.name in before or earlier.kind == "self" for earlier, _ in self._held)

    async def has_room(self) -> None:
        await self._outbox.has_room()

    async def may_be_told(self) -> None:
        """Waits before more of what it missed: for the reply that comes first, and for room."""
        while not self.closing and not self._released.is_set():
            await self._released.wait()
        self._outbox.flush()
        await self._outbox.has_room()

    def begin(self) -> None:
        """It has something to catch up with; `caught_up` is set when all of it is done."""
        self._underway += 1
        self.caught_up.clear()

    def end(self) -> None:
        self._underway -= 1
        if not self._underway:
            self.caught_up.set()
