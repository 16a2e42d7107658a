"""Which connections are told what: who is in which server, which channels it has, and whom an event is meant for.

A connection is attached to a server's channels only while its place in the server's own feed is live: so whatever
took its sight away has been applied before anything later of a channel reaches it. Unknown is invisible.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.gateway.connection import Connection
from services.gateway.frames import EntryFrames
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import GOING_AWAY, Interest
from services.gateway.ordering import Feed
from services.gateway.upstream import TROUBLE, Refused, Upstream
from shared.journal.entry import Entry
from shared.protocol.contract import Audience
from shared.protocol.internal import GET_SERVER_VIEW, GetServerView, ServerView
from shared.scopes import Scope, channel_scope, server_scope
from shared.telemetry import logger

_PAUSE_MOST = 1.0
_LOADS_AT_ONCE = 32


@dataclass(slots=True)
class _Entering:
    """A connection on its way into a server: where it stands in each of the server's scopes."""

    position: int
    channels: dict[str, int]


@dataclass(slots=True)
class _Server:
    """A server some local connection is in. Without a feed it is still being loaded."""

    awaited: int = 0
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    feed: Feed[Connection] | None = None
    channels: dict[str, Feed[Connection]] = field(default_factory=dict)
    entering: dict[Connection, _Entering] = field(default_factory=dict)


class Visibility:
    def __init__(self, interest: Interest, upstream: Upstream, users: HeardUsers, linger: float) -> None:
        self._interest = interest
        self._users = users
        self._upstream = upstream
        self._linger = linger
        self._servers: dict[str, _Server] = {}
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._loading: set[asyncio.Task[None]] = set()
        interest.on_entry = self._on_entry
        interest.tell = self._tell
        interest.on_live = self._on_live
        interest.on_lost = self._on_lost

    @asynccontextmanager
    async def loaded(self, server_ids: Iterable[str]) -> AsyncIterator[None]:
        """While in it, the views of these servers are here, of those that exist, and are not let go."""
        servers = [self._server(server_id) for server_id in server_ids]
        for server in servers:
            server.awaited += 1
        try:
            await asyncio.gather(*(server.loaded.wait() for server in servers))
            yield
        finally:
            for server in servers:
                server.awaited -= 1

    def channels_of(self, server_id: str) -> dict[str, Feed[Connection]]:
        """The channels of a server that was loaded, by id."""
        server = self._servers.get(server_id)
        return server.channels if server else {}

    def enter(self, connection: Connection, server_id: str, position: int, channels: dict[str, int]) -> None:
        """Attaches a connection to a server and its channels, each from the position that the client was given.

        A channel without one it hears from now on: of those the client knows nothing older yet.
        """
        server = self._server(server_id)
        if connection in server.entering or (server.feed is not None and connection in server.feed):
            return
        connection.servers.add(server_id)
        connection.begin()
        now = {channel_id: feed.last for channel_id, feed in server.channels.items()}
        server.entering[connection] = _Entering(position, now | channels)
        if server.feed is not None:
            self._interest.join(server.feed, connection, position)

    def enters_at(self, connection: Connection, channel: Scope, position: int) -> bool:
        """Has a connection that is still entering a server hear this channel from there; False when it is not."""
        server = self._servers.get(channel.within)
        entering = server.entering.get(connection) if server else None
        if entering is None:
            return False
        entering.channels[channel.id] = position
        return True

    def leave(self, connection: Connection, server_id: str) -> None:
        """Detaches a connection from a server and all its channels, at once."""
        connection.servers.discard(server_id)
        connection.proven.discard(server_id)
        connection.loaded_members.discard(server_id)
        server = self._servers.get(server_id)
        if server is None:
            return
        if server.entering.pop(connection, None):
            connection.end()
        for feed in (server.feed, *server.channels.values()):
            if feed is not None and connection in feed:
                self._interest.leave(feed, connection)

    def forget_everything(self) -> None:
        """Another history has begun: every socket is closed, and its client starts anew."""
        for server_id, server in list(self._servers.items()):
            for connection in tuple(server.entering):
                connection.close(GOING_AWAY)
            self._give_up(server_id, server)
        self._interest.forget_everything()

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for server_id in tuple(connection.servers):
            self.leave(connection, server_id)
        for feed in tuple(connection.feeds):
            self._interest.leave(feed, connection)

    async def run(self) -> None:
        """Lets go of servers that no local connection has been in for a while."""
        while True:
            await asyncio.sleep(max(self._linger / 4, 0.1))
            before = time.monotonic() - self._linger
            for server_id, server in list(self._servers.items()):
                feed = server.feed
                if feed is None or feed.held or server.entering or server.awaited:
                    continue
                if feed.idle_since is None or feed.idle_since > before:
                    continue
                del self._servers[server_id]
                for each in (feed, *server.channels.values()):
                    self._interest.let_go(each)

    # A server's view.

    def _server(self, server_id: str) -> _Server:
        server = self._servers.get(server_id)
        if server is None:
            server = self._servers[server_id] = _Server()
            task = asyncio.create_task(self._load(server_id, server))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return server

    async def _load(self, server_id: str, server: _Server) -> None:
        try:
            await self._take_view(server_id, server)
        except Exception as error:  # noqa: BLE001 - it must not lock its members out: the next to come tries again
            logger().error("bug", server=server_id, exc_info=error)
            self._give_up(server_id, server)

    async def _take_view(self, server_id: str, server: _Server) -> None:
        """One snapshot of the server: from its revision on, its own entries keep the view current."""
        view: ServerView | None = None
        while view is None:
            try:
                async with self._loads:
                    view = await self._upstream.call(GET_SERVER_VIEW, GetServerView(server_id=server_id))
            except TROUBLE as error:
                if isinstance(error, Refused) and error.reason == "not_found":
                    self._give_up(server_id, server)
                    return
                logger().warning("server_not_loaded", server=server_id, error=str(error))
                await asyncio.sleep(random.uniform(0.05, _PAUSE_MOST))  # noqa: S311
        if self._servers.get(server_id) is not server:
            return
        server.feed = self._interest.follow(server_scope(server_id), view.rev)
        for channel_id, head in view.channels.items():
            self._follow_channel(server, server_id, channel_id, head)
        server.loaded.set()
        for connection, entering in list(server.entering.items()):
            self._interest.join(server.feed, connection, entering.position)

    def _give_up(self, server_id: str, server: _Server) -> None:
        self._servers.pop(server_id, None)
        for connection in server.entering:
            connection.servers.discard(server_id)
            connection.end()
        server.entering.clear()
        server.loaded.set()

    def _follow_channel(self, server: _Server, server_id: str, channel_id: str, head: int) -> None:
        if channel_id not in server.channels:
            server.channels[channel_id] = self._interest.follow(channel_scope(channel_id, server_id), head)

    # What the feeds bring.

    def _on_entry(self, feed: Feed[Connection], entry: Entry) -> None:
        """Keeps the view of a server current: once per entry, before anyone is told."""
        if feed.scope.kind != "server" or (server := self._servers.get(feed.scope.id)) is None:
            return
        for event in entry.events:
            if event["name"] == "channel_added":
                params = event["params"]
                channel_id = params["channel"]["id"]
                self._follow_channel(server, feed.scope.id, channel_id, params["at"])
                for connection in feed.ahead:
                    # It is not told of what it knows already; the channel it hears from its beginning.
                    if entering := server.entering.get(connection):
                        entering.channels.setdefault(channel_id, params["at"])

    def _tell(self, feed: Feed[Connection], entry: Entry, told: Sequence[Connection]) -> None:
        frames = EntryFrames(entry)
        for connection in told:
            seen = [index for index, event in enumerate(entry.events) if _is_for(connection, feed.scope, event)]
            for index in seen:
                frame = frames.frame(index, connection.user_id, more=index != seen[-1])
                connection.event(feed.scope, frame)
            for index in seen:
                event = entry.events[index]
                self._users.hear(connection, event.get("users", {}))
                self._move(connection, feed.scope, event)

    def _move(self, connection: Connection, scope: Scope, event: dict[str, Any]) -> None:
        """What an event, once told, changes in what this connection hears."""
        params = event["params"]
        match event["name"]:
            case "server_added":
                channels = {name.partition(":")[2]: rev for name, rev in params["scopes"].items()}
                server_id = params["server"]["id"]
                self.enter(connection, server_id, channels.pop(server_id), channels)
            case "server_deleted":
                self.leave(connection, params["server_id"])
            case "member_deleted" if params["user_id"] == connection.user_id:
                self.leave(connection, scope.id)
            case "channel_added":
                self._gain(connection, scope.id, params["channel"]["id"], params["at"])

    def _gain(self, connection: Connection, server_id: str, channel_id: str, position: int) -> None:
        server = self._servers.get(server_id)
        if server is None:
            return
        if entering := server.entering.get(connection):
            entering.channels[channel_id] = position
        elif channel := server.channels.get(channel_id):
            self._interest.join(channel, connection, position)

    def _on_live(self, feed: Feed[Connection], connection: Connection) -> None:
        """The connection has reached the server's present: now it may hear the channels."""
        if feed.scope.kind != "server" or (server := self._servers.get(feed.scope.id)) is None:
            return
        entering = server.entering.pop(connection, None)
        if entering is None:
            return
        for channel_id, channel in server.channels.items():
            self._interest.join(channel, connection, entering.channels.get(channel_id, channel.last))
        connection.end()

    def _on_lost(self, feed: Feed[Connection]) -> None:
        """Nobody can be told of it in order any more: all start anew, from a fresh snapshot."""
        for holder in feed.holders():
            holder.close(GOING_AWAY)
        server_id = feed.scope.within if feed.scope.kind == "channel" else feed.scope.id
        server = self._servers.pop(server_id, None)
        for each in (feed, *((server.feed, *server.channels.values()) if server else ())):
            if each is not None:
                for holder in each.holders():
                    holder.close(GOING_AWAY)
                self._interest.let_go(each)


def _is_for(connection: Connection, scope: Scope, event: dict[str, Any]) -> bool:
    match event.get("to", Audience.SCOPE):
        case Audience.SCOPE:
            return True
        case Audience.MEMBERS:
            if scope.id in connection.loaded_members:
                return True
            params = event["params"]
            member = params.get("member")
            user_id: str = member["user"]["id"] if member else params["user_id"]
            return user_id == connection.user_id
        case _:
            return False
