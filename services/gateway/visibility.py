"""Which connections are told what: who is in which server, which channels they see, whom an event is meant for.

A connection is attached to a server's channels only while its place in the server's own feed is live: so whatever
took its sight away has been applied before anything later of a channel reaches it. Unknown is invisible.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.gateway.connection import Connection
from services.gateway.directs import Directs
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import GOING_AWAY, Interest
from services.gateway.ordering import Feed
from services.gateway.servers import Arrival, LocalServer, LocalServers
from services.gateway.sight import BLIND, Seen
from services.gateway.telling import Telling
from services.gateway.upstream import TROUBLE, Upstream
from shared.journal.entry import Entry
from shared.protocol.contract import NoParams
from shared.protocol.internal import GET_MEMBERSHIPS, Membership
from shared.scopes import Scope
from shared.sight import sight_changed
from shared.telemetry import logger

_PAUSE_MOST = 1.0
_POLL = 0.01


class Visibility:
    def __init__(self, interest: Interest, upstream: Upstream, users: HeardUsers, linger: float) -> None:
        self._interest = interest
        self._users = users
        self._upstream = upstream
        self.directs = Directs(interest)
        self.servers = LocalServers(interest, upstream, linger)
        self.servers.on_loaded = self._on_loaded
        self.servers.on_given_up = self._on_given_up
        interest.on_entry = self._on_entry
        interest.tell = self._tell
        interest.on_live = self._on_live
        interest.on_lost = self._on_lost

    async def run(self) -> None:
        await self.servers.run()

    # What a user sees.

    def admit(self, connection: Connection, server_id: str, membership: Membership) -> bool:
        """As `LocalServer.admit`, of a server that was loaded; True for one that is no more."""
        server = self.servers.get(server_id)
        return server is None or server.admit(connection, membership)

    def seen_by(self, connection: Connection, server_id: str) -> Seen | None:
        """What the connection's user sees of the server at this moment; None while it can't be told yet."""
        server = self.servers.get(server_id)
        if server is None or server.sight is None or not server.sight.is_known_of(connection.user_id):
            return None
        return server.sight.seen_by(connection.user_id)

    def knew(self, connection: Connection, server_id: str, missed: Sequence[Entry]) -> Seen | None:
        """What its user saw before these last entries of the server; None if they may have changed its rights."""
        server, user_id = self.servers.get(server_id), connection.user_id
        if server is None or server.sight is None or not server.sight.is_known_of(user_id):
            return None
        if server.sight.has_lost(user_id) or sight_changed(missed, user_id, server.sight.roles_of(user_id)):
            return None
        return server.sight.known_before(user_id, missed)

    async def reaches(self, server_id: str, rev: int) -> None:
        """Waits until the server's feed has come to a revision that is known to exist; forever, if it never comes."""
        server = self.servers.get(server_id)
        if server is None or server.feed is None or server.feed.last >= rev:
            return
        self._interest.expect(server.feed, rev)
        while server.feed.last < rev and self.servers.get(server_id) is server:  # noqa: ASYNC110 - seldom, and short
            await asyncio.sleep(_POLL)

    def lags(self, server_id: str, rev: int) -> bool:
        """Whether so much is known of the server elsewhere, and not here yet."""
        server = self.servers.get(server_id)
        return server is not None and (server.feed is None or server.feed.last < rev)

    def place_of(self, connection: Connection, feed: Feed[Connection]) -> int:
        """The last revision it has been told of; in a channel that it does not hear yet, that from which it will."""
        place = feed.place_of(connection)
        if place is None and (server := self.servers.get(feed.scope.within)) and connection in server.entering:
            place = server.entering[connection].channels.get(feed.scope.id)
        return place or 0

    def last_of(self, server_id: str) -> int:
        """Where the feed of a server that was loaded stands; 0 for one that is no more."""
        server = self.servers.get(server_id)
        return server.feed.last if server and server.feed else 0

    def channels_of(self, server_id: str) -> dict[str, Feed[Connection]]:
        """All channels of a server that was loaded, by id, whoever sees them."""
        server = self.servers.get(server_id)
        return server.channels if server else {}

    # Coming and going.

    def enter(self, connection: Connection, server_id: str, arrival: Arrival) -> None:
        """Attaches a connection to a server and those of its channels that it may see, each from the position given.

        A channel without one it hears from now on: of those the client knows nothing older yet.
        """
        server = self.servers.load(server_id)
        connection.servers.add(server_id)
        if connection in server.entering or (server.feed is not None and connection in server.feed):
            return
        connection.begin()
        arrival.channels = {channel_id: feed.last for channel_id, feed in server.channels.items()} | arrival.channels
        server.entering[connection] = arrival
        self._join(server, connection)

    def enters_at(self, connection: Connection, channel: Scope, position: int) -> bool:
        """Has a connection that is still entering a server hear this channel from there; False when it is not."""
        server = self.servers.get(channel.within)
        arrival = server.entering.get(connection) if server else None
        if arrival is None:
            return False
        arrival.channels[channel.id] = position
        return True

    def leave(self, connection: Connection, server_id: str) -> None:
        """Detaches a connection from a server and all its channels, at once."""
        connection.servers.discard(server_id)
        connection.proven.discard(server_id)
        connection.loaded_members.discard(server_id)
        server = self.servers.get(server_id)
        if server is None:
            return
        server.dismiss(connection)
        if server.entering.pop(connection, None):
            connection.end()
        for feed in [each for each in connection.feeds if server_id in {each.scope.within, each.scope.id}]:
            self._interest.leave(feed, connection)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for server_id in tuple(connection.servers):
            self.leave(connection, server_id)
        for feed in tuple(connection.feeds):
            self._interest.leave(feed, connection)
        connection.attached_at.clear()

    def forget_everything(self) -> None:
        """Another history has begun: every socket is closed, and its client starts anew."""
        for server in self.servers.all():
            for connection in tuple(server.entering):
                connection.close(GOING_AWAY)
            self.servers.give_up(server, gone=True)
        self._interest.forget_everything()

    def _on_loaded(self, server: LocalServer) -> None:
        for connection in tuple(server.entering):
            self._join(server, connection)

    def _on_given_up(self, server: LocalServer, gone: bool) -> None:
        """There is no such server; or what there is of it can't be had, and whoever came for it starts anew."""
        for connection in tuple(server.entering):
            connection.servers.discard(server.id)
            connection.end()
            if not gone:
                connection.close(GOING_AWAY)
        server.entering.clear()

    def _join(self, server: LocalServer, connection: Connection) -> None:
        """Has an arrival hear the server's feed, if that is here and it is known what its user sees; else later."""
        if server.feed is None or server.sight is None:
            return
        arrival = server.entering[connection]
        if not server.has_admitted(connection) and not server.admit(connection, arrival.membership):
            if not arrival.asks:
                arrival.asks = True
                self._interest.start(self._ask_again(server, connection))
            return
        known_from = server.sight.known_from(connection.user_id)
        if known_from > max(server.sight.rev, arrival.position):
            self._interest.expect(server.feed, known_from)
            return
        if arrival.seen is None:
            # Its client has loaded nothing yet: what changes from here on is news to it.
            arrival.seen = server.sight.seen_by(connection.user_id)
        self._interest.join(server.feed, connection, arrival.position)

    async def _ask_again(self, server: LocalServer, connection: Connection) -> None:
        """The server has gone on since the membership was read: reads it anew, until that is no longer so."""
        while arrival := server.entering.get(connection):
            await asyncio.sleep(random.uniform(0, _PAUSE_MOST / 10))  # noqa: S311
            try:
                memberships = await self._upstream.call(GET_MEMBERSHIPS, NoParams(), connection.user_id)
            except TROUBLE as error:
                logger().warning("membership_not_read", server=server.id, error=str(error))
                await asyncio.sleep(random.uniform(0, _PAUSE_MOST))  # noqa: S311
                continue
            if server.entering.get(connection) is not arrival:
                return
            if server.id not in memberships.servers:
                self.leave(connection, server.id)
                return
            arrival.membership = memberships.servers[server.id]
            if server.admit(connection, arrival.membership):
                self._join(server, connection)
                return

    # What the feeds bring.

    def _on_entry(self, feed: Feed[Connection], entry: Entry) -> None:
        """Keeps the view of a server current: once per entry, before anyone is told."""
        if feed.scope.kind == "channel" and not feed.scope.within:
            self.directs.on_entry(feed, entry)
        if feed.scope.kind != "server" or (server := self.servers.get(feed.scope.id)) is None or server.sight is None:
            return
        server.sight.apply(entry)
        for event in entry.events:
            match event["name"]:
                case "channel_added":
                    self._channel_added(server, event["params"])
                case "member_deleted":
                    self._is_out(server, event["params"]["user_id"])
                case "server_closed":
                    self._close(feed, server)

    def _is_out(self, server: LocalServer, user_id: str) -> None:
        """Whoever is still on the way in will be told so; but nothing more as one of the server, from now on."""
        for connection in server.entering:
            if connection.user_id == user_id:
                connection.servers.discard(server.id)

    def _channel_added(self, server: LocalServer, params: dict[str, Any]) -> None:
        channel_id = params["channel"]["id"]
        self.servers.follow_channel(server, channel_id, params["at"], 0)
        for arrival in server.entering.values():
            # Whatever its client may load of it meanwhile: it hears the channel from its beginning.
            arrival.channels.setdefault(channel_id, params["at"])

    def _close(self, feed: Feed[Connection], server: LocalServer) -> None:
        """The server is deleted: nobody hears anything of it any more. Each member is told in its own scope."""
        for connection in feed.holders() | server.entering.keys():
            self.leave(connection, server.id)
        self.servers.let_go(server)

    def _tell(self, feed: Feed[Connection], entry: Entry, told: Sequence[Connection]) -> None:
        server = self.servers.get(feed.scope.id) if feed.scope.kind == "server" else None
        telling = Telling(entry, server.sight if server else None)
        for connection in told:
            before, after = _sights(server, connection) if server else (BLIND, BLIND)
            place = partial(server.place, connection) if server else None
            events = telling.events_for(connection, before, after, place)
            for event in events:
                frame = telling.frame(event, connection, more=event is not events[-1])
                connection.event(feed.scope, frame)
            for event in events:
                self._users.hear(connection, event.get("users", {}))
                self._move(connection, feed.scope, event)
        if server:
            self._drop_deleted(server, entry)
            for connection in [each for each in server.entering if each not in feed]:
                self._join(server, connection)

    def _drop_deleted(self, server: LocalServer, entry: Entry) -> None:
        """Lets go of the channels that are no more, once everybody has been told."""
        for event in entry.events:
            if event["name"] == "channel_deleted" and (
                gone := server.channels.pop(event["params"]["channel_id"], None)
            ):
                self._interest.let_go(gone)

    def _move(self, connection: Connection, scope: Scope, event: dict[str, Any]) -> None:
        """What an event, once told, changes in what this connection hears."""
        params = event["params"]
        match event["name"]:
            case "server_added":
                self._added(connection, params)
            case "server_deleted":
                self.leave(connection, params["server_id"])
            case "member_deleted" if params["user_id"] == connection.user_id:
                self.leave(connection, scope.id)
            case "channel_added":
                self._gain(connection, scope.id, params["channel"]["id"], params["at"])
            case "channel_deleted":
                self._lose(connection, scope.id, params["channel_id"])
            case _:
                self.directs.told(connection, event)

    def _added(self, connection: Connection, params: dict[str, Any]) -> None:
        """It has come into a server, and knows what the event says of it."""
        server_id, listed = params["server"]["id"], params["channels"]
        channels = {name.partition(":")[2]: rev for name, rev in params["scopes"].items()}
        position = channels.pop(server_id)
        categories = frozenset(category["id"] for category in listed if category["id"] is not None)
        membership = Membership(rev=position, roles=params["server"]["me"]["roles"])
        seen = Seen(frozenset(channels), categories)
        self.enter(connection, server_id, Arrival(position, membership, channels, seen))

    def _gain(self, connection: Connection, server_id: str, channel_id: str, position: int) -> None:
        server = self.servers.get(server_id)
        if server is None:
            return
        if arrival := server.entering.get(connection):
            arrival.channels.setdefault(channel_id, position)
        elif channel := server.channels.get(channel_id):
            self._interest.join(channel, connection, position)

    def _lose(self, connection: Connection, server_id: str, channel_id: str) -> None:
        server = self.servers.get(server_id)
        channel = server.channels.get(channel_id) if server else None
        if channel is not None and connection in channel:
            self._interest.leave(channel, connection)

    def _on_live(self, feed: Feed[Connection], connection: Connection) -> None:
        """The connection has reached the server's present: now it may hear the channels that it sees."""
        if feed.scope.kind != "server" or (server := self.servers.get(feed.scope.id)) is None or server.sight is None:
            return
        if server.sight.has_lost(connection.user_id):
            # It came with a position behind which it was told that it is out: it never will be again.
            self.leave(connection, server.id)
            return
        if (arrival := server.entering.pop(connection, None)) is None:
            return
        for channel_id in server.sight.seen_by(connection.user_id).channels:
            channel = server.channels[channel_id]
            self._interest.join(channel, connection, arrival.channels.get(channel_id, channel.last))
        connection.end()

    def _on_lost(self, feed: Feed[Connection]) -> None:
        """Nobody can be told of it in order any more: all start anew, from a fresh snapshot."""
        server = self.servers.get(feed.scope.within if feed.scope.kind == "channel" else feed.scope.id)
        for connection in tuple(server.entering) if server else ():
            connection.close(GOING_AWAY)
        for each in (feed, *(server.feeds if server else ())):
            for holder in each.holders():
                holder.close(GOING_AWAY)
            self._interest.let_go(each)
        if server:
            self.servers.let_go(server)


def _sights(server: LocalServer, connection: Connection) -> tuple[Seen, Seen]:
    """What the connection's user saw before the entry and sees after it, as its client is to be told.

    One that is catching up is told with the first entry it missed all that has come into its sight, or gone out of it,
    to this day; so that, wherever it may be cut off, it never was told less than its position says.
    """
    assert server.sight is not None  # noqa: S101 - it came with the feed
    if server.sight.has_lost(connection.user_id):
        return BLIND, BLIND  # that it is out is all it will be told
    arrival = server.entering.get(connection)
    if arrival is None or arrival.seen is None:
        step = server.sight.steps.get(connection.user_id)
        if step is not None:
            return step.before, step.after
        now = server.sight.seen_by(connection.user_id)
        return now, now
    before, arrival.seen = arrival.seen, server.sight.seen_by(connection.user_id)
    return before, arrival.seen
