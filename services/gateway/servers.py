"""The servers that local connections are in: each loaded from one snapshot, kept while somebody is in it.

What a server's members see is known for those with a connection here; from its snapshot on, the server's own entries
keep that current.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.ordering import Feed
from services.gateway.sight import Seen, ServerSight, roles_after
from services.gateway.upstream import TROUBLE, Refused, Upstream
from shared.protocol.internal import GET_SERVER_VIEW, GetServerView, Membership, ServerView
from shared.scopes import channel_scope, server_scope
from shared.telemetry import logger

_PAUSE_MOST = 1.0
_LOADS_AT_ONCE = 32


@dataclass(slots=True)
class Arrival:
    """Where a connection on its way into a server stands: in the server's scope and in its channels'.

    `seen` is what its client knows itself to see there; None for one that knows nothing of the server yet.
    """

    position: int
    membership: Membership
    channels: dict[str, int] = field(default_factory=dict)
    seen: Seen | None = None
    asks: bool = False
    """Its membership is being read anew."""


@dataclass(slots=True)
class LocalServer:
    """A server some local connection is in. Without a feed and a sight it is still being loaded."""

    id: str
    awaited: int = 0
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    feed: Feed[Connection] | None = None
    sight: ServerSight | None = None
    channels: dict[str, Feed[Connection]] = field(default_factory=dict)
    entering: dict[Connection, Arrival] = field(default_factory=dict)
    _local: dict[str, set[Connection]] = field(default_factory=dict)
    """By user, the connections for whose sake it is kept in mind what the user sees."""

    def admit(self, connection: Connection, membership: Membership) -> bool:
        """From now on it is known what the connection's user sees here.

        False when the membership is too old to tell: the caller asks for it anew.
        """
        if self.sight is None or self.feed is None:
            return True  # it is no more
        user_id = connection.user_id
        if not self.sight.is_known_of(user_id):
            later = self.feed.entries_after(membership.rev)
            roles = None if later is None else roles_after(membership.roles, user_id, later)
            if roles is not None:
                self.sight.admit(user_id, roles, max(membership.rev, self.sight.rev))
            elif not self.sight.knows(user_id):
                return False
        connection.servers.add(self.id)
        self._local.setdefault(user_id, set()).add(connection)
        return True

    def has_admitted(self, connection: Connection) -> bool:
        return connection in self._local.get(connection.user_id, ())

    def dismiss(self, connection: Connection) -> None:
        connections = self._local.get(connection.user_id)
        if connections is None:
            return
        connections.discard(connection)
        if not connections:
            del self._local[connection.user_id]
            if self.sight is not None:
                self.sight.dismiss(connection.user_id)

    def place(self, connection: Connection, channel_id: str) -> tuple[int, int]:
        """From where the connection is to hear a channel that comes into its sight, and the last message's id."""
        feed = self.channels[channel_id]
        arrival = self.entering.get(connection)
        return (arrival.channels.get(channel_id, feed.last) if arrival else feed.last), feed.last_id

    @property
    def feeds(self) -> list[Feed[Connection]]:
        """Its own and those of its channels."""
        return [self.feed, *self.channels.values()] if self.feed else []


class LocalServers:
    """`on_loaded` is called once a server's view is here; `on_given_up` when it can't be had, or is no more."""

    def __init__(self, interest: Interest, upstream: Upstream, linger: float) -> None:
        self._interest = interest
        self._upstream = upstream
        self._linger = linger
        self._servers: dict[str, LocalServer] = {}
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._loading: set[asyncio.Task[None]] = set()
        self.on_loaded: Callable[[LocalServer], None] = lambda _server: None
        self.on_given_up: Callable[[LocalServer, bool], None] = lambda _server, _gone: None

    def get(self, server_id: str) -> LocalServer | None:
        return self._servers.get(server_id)

    def all(self) -> list[LocalServer]:
        return list(self._servers.values())

    def load(self, server_id: str) -> LocalServer:
        """The server, which may still have to be loaded."""
        server = self._servers.get(server_id)
        if server is None:
            server = self._servers[server_id] = LocalServer(server_id)
            task = asyncio.create_task(self._load(server))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return server

    @asynccontextmanager
    async def loaded(self, server_ids: Iterable[str]) -> AsyncIterator[None]:
        """While in it, the views of these servers are here, of those that exist, and are not let go."""
        servers = [self.load(server_id) for server_id in server_ids]
        for server in servers:
            server.awaited += 1
        try:
            await asyncio.gather(*(server.loaded.wait() for server in servers))
            yield
        finally:
            for server in servers:
                server.awaited -= 1

    def follow_channel(self, server: LocalServer, channel_id: str, head: int, last_id: int) -> None:
        if channel_id not in server.channels:
            scope = channel_scope(channel_id, server.id)
            server.channels[channel_id] = self._interest.follow(scope, head, last_id)

    def let_go(self, server: LocalServer) -> None:
        if self._servers.get(server.id) is server:
            del self._servers[server.id]
        for feed in server.feeds:
            self._interest.let_go(feed)

    def give_up(self, server: LocalServer, *, gone: bool) -> None:
        """`gone`: there is no such server."""
        if self._servers.get(server.id) is server:
            del self._servers[server.id]
        self.on_given_up(server, gone)
        server.loaded.set()

    async def run(self) -> None:
        """Lets go of servers that no local connection has been in for a while."""
        while True:
            await asyncio.sleep(max(self._linger / 4, 0.1))
            before = time.monotonic() - self._linger
            for server in self.all():
                feed = server.feed
                if feed is None or feed.held or server.entering or server.awaited:
                    continue
                if feed.idle_since is not None and feed.idle_since <= before:
                    self.let_go(server)

    async def _load(self, server: LocalServer) -> None:
        try:
            await self._take_view(server)
        except Exception as error:  # noqa: BLE001 - it must not lock its members out: the next to come tries again
            logger().error("bug", server=server.id, exc_info=error)
            self.give_up(server, gone=False)

    async def _take_view(self, server: LocalServer) -> None:
        """One snapshot of the server: from its revision on, its own entries keep the view current."""
        view: ServerView | None = None
        while view is None:
            try:
                async with self._loads:
                    view = await self._upstream.call(GET_SERVER_VIEW, GetServerView(server_id=server.id))
            except TROUBLE as error:
                gone = isinstance(error, Refused) and error.reason == "not_found"
                if gone or not (server.awaited or server.entering):
                    self.give_up(server, gone=gone)
                    return
                logger().warning("server_not_loaded", server=server.id, error=str(error))
                await asyncio.sleep(random.uniform(0.05, _PAUSE_MOST))  # noqa: S311
        if self._servers.get(server.id) is not server:
            return
        server.sight = ServerSight(server.id, view)
        server.feed = self._interest.follow(server_scope(server.id), view.rev)
        for each in view.channels:
            self.follow_channel(server, each.channel.id, each.head, each.channel.last_message_id)
        server.loaded.set()
        self.on_loaded(server)
