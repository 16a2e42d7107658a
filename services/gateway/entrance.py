"""`authenticate` and `resume`: from a token to a connection that hears all it should, from where its cache stands."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.gateway.admission import Admission
from services.gateway.connection import Connection
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import Interest
from services.gateway.lease import Lease
from services.gateway.ordering import Feed
from services.gateway.resumption import Resumption, Sorted
from services.gateway.servers import Arrival
from services.gateway.sessions import Sessions
from services.gateway.sight import BLIND
from services.gateway.tokens import Tokens
from services.gateway.upstream import Upstream
from services.gateway.visibility import Visibility
from shared.errors import Conflict, Unavailable
from shared.protocol.account import Authenticate, Authenticated, Resume, Resumed
from shared.protocol.contract import NoParams
from shared.protocol.internal import GET_MEMBERSHIPS, Memberships
from shared.scopes import Scope, self_scope, server_scope

_ASKED_AT_MOST = 5
"""Times that memberships are read for one connection, while servers go on faster than they can be read."""

_KEPT_UP_WITHIN = 1.0
_RESUME_WITHIN = 60.0
"""Seconds in which a client with a large cache may send the rest of it and be told what it missed of that too."""


class Entrance:
    def __init__(
        self,
        upstream: Upstream,
        interest: Interest,
        visibility: Visibility,
        users: HeardUsers,
        sessions: Sessions,
        lease: Lease,
        tokens: Tokens,
        admission: Admission,
    ) -> None:
        self._upstream = upstream
        self._interest = interest
        self._visibility = visibility
        self._users = users
        self._sessions = sessions
        self._lease = lease
        self._tokens = tokens
        self._resumption = Resumption(upstream, interest, visibility)
        self._admission = admission

    async def authenticate(
        self, connection: Connection, params: Authenticate, until: float, address: str = ""
    ) -> Authenticated:
        """Raises what presence refuses with, RateLimited, Conflict or Unavailable; then nothing is attached.

        One after the other, for one connection.
        """
        if connection.user_id:
            raise Conflict("This connection is authenticated already.")
        async with _in_time(until), self._admission.place(until):
            return await self._authenticate(connection, params, until, address)

    async def _authenticate(
        self, connection: Connection, params: Authenticate, until: float, address: str
    ) -> Authenticated:
        identity = await self._tokens.owner(params.token, address, until)
        connection.user_id, connection.session_id = identity.user.id, identity.session_id
        self._sessions.add(connection)
        try:
            user = await self._lease.enter(connection) or identity.user
            found = await self._attach(connection, params)
        except BaseException:
            self.leave(connection)
            connection.user_id = connection.session_id = ""
            raise
        self._users.hear(connection, {user.id: user.rev})
        connection.authenticated = True
        return Authenticated(
            user=user,
            session_id=identity.session_id,
            epoch=identity.epoch,
            current=found.current,
            stale=found.stale,
            gone=found.gone,
        )

    async def resume(self, connection: Connection, params: Resume, until: float) -> Resumed:
        """More of a cache that was too large for one frame."""
        connection.loaded_members.update(connection.servers & set(params.members))
        async with _in_time(until):
            found = await self._resumption.sort(connection, params.scopes, self._told(connection))
        for name, position in found.positions.items():
            if not name.startswith("user:") and not self._moves(connection, name, position):
                del found.current[name]
                found.stale.append(name)
        self._hear_users(connection, found)
        return Resumed(current=found.current, stale=found.stale, gone=found.gone)

    def place_of(self, connection: Connection, feed: Feed[Connection]) -> int:
        """How far the connection has been told of a scope, or will be held to have been; 0 for not at all."""
        return self._visibility.place_of(connection, feed)

    def leave(self, connection: Connection) -> None:
        """The socket is closed: nothing is told to it any more."""
        self._sessions.remove(connection)
        self._lease.leave(connection)
        self._visibility.forget(connection)

    async def _attach(self, connection: Connection, params: Authenticate) -> Sorted:
        memberships = await self._upstream.call(GET_MEMBERSHIPS, NoParams(), connection.user_id)
        mine = self_scope(connection.user_id)
        self._interest.follow(mine, memberships.position)
        connection.directs = set(memberships.directs)
        async with self._visibility.servers.loaded(memberships.servers):
            memberships = await self._admit(connection, memberships)
            found = Sorted()
            if params.resume is not None:
                await self._keep_up({server_id: each.rev for server_id, each in memberships.servers.items()})
                found = await self._resumption.sort(connection, params.resume, _read_in(mine, memberships))
            # From here to the end nothing is awaited: where it starts is where the feeds stand.
            memberships = self._as_of_now(memberships)
            if params.resume is None:
                found = _everything(mine, memberships)
            if connection.closing:
                # The socket ended meanwhile, perhaps because another history has begun: nobody would take it out
                # again, and what was read may be of the one before.
                raise Unavailable
            self._join(connection, params, memberships, found)
        return found

    async def _keep_up(self, come_to: Mapping[str, int]) -> None:
        """Gives the feeds of servers a moment to come where the memberships were read: seldom is one behind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEPT_UP_WITHIN):
                await asyncio.gather(*(self._visibility.reaches(server, rev) for server, rev in come_to.items()))

    def _as_of_now(self, memberships: Memberships) -> Memberships:
        """Who has loaded nothing of a server yet starts where its feed stands, not behind it."""
        servers = {
            server_id: each.model_copy(update={"rev": max(each.rev, self._visibility.last_of(server_id))})
            for server_id, each in memberships.servers.items()
        }
        return memberships.model_copy(update={"servers": servers})

    async def _admit(self, connection: Connection, memberships: Memberships) -> Memberships:
        """From here on it is known what the user sees of each server; one that was left meanwhile is none of theirs."""
        servers, missing = dict(memberships.servers), memberships.servers
        for _ in range(_ASKED_AT_MOST):
            admit = self._visibility.admit
            missing = {name: each for name, each in missing.items() if not admit(connection, name, each)}
            if not missing:
                return memberships.model_copy(update={"servers": servers})
            anew = await self._upstream.call(GET_MEMBERSHIPS, NoParams(), connection.user_id)
            for left in missing.keys() - anew.servers.keys():
                del servers[left]
            missing = {name: anew.servers[name] for name in missing if name in anew.servers}
        raise Unavailable

    def _join(self, connection: Connection, params: Authenticate, memberships: Memberships, found: Sorted) -> None:
        mine = self_scope(connection.user_id)
        connection.loaded_members.update(memberships.servers.keys() & set(params.members))
        position = found.positions.get(mine.name, memberships.position)
        self._interest.join(self._interest.follow(mine, memberships.position), connection, position)
        for server_id, membership in memberships.servers.items():
            name = server_scope(server_id).name
            channels = self._visibility.channels_of(server_id)
            scopes = {each: f"channel:{each}" for each in channels}
            known = {each: found.positions[scope] for each, scope in scopes.items() if scope in found.positions}
            start = found.positions.get(name, membership.rev)
            seen = found.seen.get(server_id) if name in found.positions else None
            self._visibility.enter(connection, server_id, Arrival(start, membership, known, seen))
            if params.resume is not None:
                connection.attached_at[name] = start
                sees = self._visibility.seen_by(connection, server_id) or BLIND
                connection.attached_at |= {scopes[each]: channels[each].last for each in sees.channels}
        self._visibility.directs.enter(connection, memberships.directs, found.positions)
        if params.resume is not None:
            names = (f"channel:{each}" for each in memberships.directs)
            connection.attached_at |= {name: feed.last for name in names if (feed := self._interest.feed(name))}
        self._hear_users(connection, found)
        if connection.attached_at:
            asyncio.get_running_loop().call_later(_RESUME_WITHIN, connection.attached_at.clear)

    def _told(self, connection: Connection) -> dict[str, int]:
        """How far it has been told of its self, its servers and its direct channels."""
        servers = (server_scope(each).name for each in connection.servers)
        names = (self_scope(connection.user_id).name, *servers, *(f"channel:{each}" for each in connection.directs))
        feeds = {name: self._interest.feed(name) for name in names}
        return {name: (feed.place_of(connection) or 0) if feed else 0 for name, feed in feeds.items()}

    def _moves(self, connection: Connection, name: str, position: int) -> bool:
        """Puts a connection that came without this scope's position there; False when it can't be told from there.

        It can go back when nothing of the scope was told since it came. Not so in a server: while behind in it, it
        would hear channels that it may have lost.
        """
        feed = self._interest.feed(name)
        if feed is None:
            return False
        untold = connection.attached_at.get(name) == feed.last
        if feed.scope.kind == "channel" and connection not in feed:
            return untold and self._visibility.enters_at(connection, feed.scope, position)
        place = feed.place_of(connection)
        if place is None or (position < place and (feed.scope.kind == "server" or not untold)):
            return False
        # What was held back of it until now goes as well: the client has that, or is told it from there.
        self._interest.leave(feed, connection)
        self._interest.join(feed, connection, position)
        return True

    def _hear_users(self, connection: Connection, found: Sorted) -> None:
        users = {Scope(name).id: rev for name, rev in found.positions.items() if name.startswith("user:")}
        self._users.hear(connection, users)


def _everything(mine: Scope, memberships: Memberships) -> Sorted:
    """What a client without a cache is told: where it starts."""
    servers = {server_scope(server_id).name: each.rev for server_id, each in memberships.servers.items()}
    return Sorted(current={mine.name: memberships.position, **servers})


def _read_in(mine: Scope, memberships: Memberships) -> dict[str, int]:
    """At which revision of each scope the memberships were read."""
    directs = {f"channel:{channel_id}": head for channel_id, head in memberships.directs.items()}
    return _everything(mine, memberships).current | directs


@asynccontextmanager
async def _in_time(until: float) -> AsyncIterator[None]:
    """Raises Unavailable when the block is not through by `until`, on the monotonic clock."""
    try:
        async with asyncio.timeout(max(until - time.monotonic(), 0)):
            yield
    except TimeoutError as error:
        raise Unavailable from error
