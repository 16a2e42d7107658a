"""`authenticate` and `resume`: from a token to a connection that hears all it should, from where its cache stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.connection import Connection
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import Interest
from services.gateway.resumption import Resumption, Sorted
from services.gateway.sessions import Sessions
from services.gateway.upstream import Upstream
from services.gateway.visibility import Visibility
from shared.errors import Conflict, Unavailable
from shared.protocol.account import IDENTIFY, Authenticate, Authenticated, Identify, Identity, Resume, Resumed
from shared.protocol.contract import NoParams
from shared.protocol.internal import GET_MEMBERSHIPS, Memberships
from shared.scopes import Scope, self_scope, server_scope

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
    ) -> None:
        self._upstream = upstream
        self._interest = interest
        self._visibility = visibility
        self._users = users
        self._sessions = sessions
        self._resumption = Resumption(upstream, interest, visibility)

    async def authenticate(self, connection: Connection, params: Authenticate, until: float) -> Authenticated:
        """Raises what presence refuses with, Conflict when done before, or Unavailable; then nothing is attached."""
        if connection.user_id:
            raise Conflict("This connection is authenticated already.")
        payload = Identify(token=params.token).model_dump_json().encode()
        reply = await self._upstream.forward(IDENTIFY, payload, user_id="", session_id="", until=until)
        identity = Identity.model_validate_json(reply.payload, extra="ignore")
        connection.user_id, connection.session_id = identity.user.id, identity.session_id
        self._sessions.add(connection)
        try:
            async with _in_time(until):
                found = await self._attach(connection, params)
        except BaseException:
            self.leave(connection)
            connection.user_id = connection.session_id = ""
            raise
        self._users.hear(connection, {identity.user.id: identity.user.rev})
        connection.authenticated = True
        return Authenticated(
            user=identity.user,
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
            found = await self._resumption.sort(connection, params.scopes, connection.servers)
        for name, position in found.positions.items():
            if not name.startswith("user:") and not self._goes_back(connection, name, position):
                del found.current[name]
                found.stale.append(name)
        self._hear_users(connection, found)
        return Resumed(current=found.current, stale=found.stale, gone=found.gone)

    def leave(self, connection: Connection) -> None:
        """The socket is closed: nothing is told to it any more."""
        self._sessions.remove(connection)
        self._visibility.forget(connection)

    async def _attach(self, connection: Connection, params: Authenticate) -> Sorted:
        memberships = await self._upstream.call(GET_MEMBERSHIPS, NoParams(), connection.user_id)
        mine = self_scope(connection.user_id)
        self._interest.follow(mine, memberships.position)
        async with self._visibility.loaded(memberships.servers):
            if params.resume is None:
                found = _everything(mine, memberships)
            else:
                found = await self._resumption.sort(connection, params.resume, memberships.servers.keys())
            self._join(connection, params, memberships, found)
        if connection.closing:
            raise Unavailable  # the socket ended meanwhile; nobody would take it out again
        return found

    def _join(self, connection: Connection, params: Authenticate, memberships: Memberships, found: Sorted) -> None:
        mine = self_scope(connection.user_id)
        connection.loaded_members.update(memberships.servers.keys() & set(params.members))
        position = found.positions.get(mine.name, memberships.position)
        self._interest.join(self._interest.follow(mine, memberships.position), connection, position)
        for server_id, rev in memberships.servers.items():
            channels = self._visibility.channels_of(server_id)
            known = {each: found.positions[name] for each in channels if (name := f"channel:{each}") in found.positions}
            start = found.positions.get(server_scope(server_id).name, rev)
            self._visibility.enter(connection, server_id, start, known)
            if params.resume is not None:
                connection.attached_at[server_scope(server_id).name] = start
                connection.attached_at |= {f"channel:{each}": feed.last for each, feed in channels.items()}
        self._hear_users(connection, found)
        if connection.attached_at:
            asyncio.get_running_loop().call_later(_RESUME_WITHIN, connection.attached_at.clear)

    def _goes_back(self, connection: Connection, name: str, position: int) -> bool:
        """Puts a connection that came without this scope's position there; False when it can't be told from there.

        It can when nothing of the scope was told since it came. Not so a server: while behind in it, it would hear
        channels that it may have lost.
        """
        feed = self._interest.feed(name)
        if feed is None:
            return False
        untold = connection.attached_at.get(name) == feed.last
        if feed.scope.kind == "channel" and connection not in feed:
            return untold and self._visibility.enters_at(connection, feed.scope, position)
        place = feed.place_of(connection)
        if place is None or position >= place:
            return place is not None
        if feed.scope.kind == "server" or not untold:
            return False
        self._interest.leave(feed, connection)
        self._interest.join(feed, connection, position)
        return True

    def _hear_users(self, connection: Connection, found: Sorted) -> None:
        users = {Scope(name).id: rev for name, rev in found.positions.items() if name.startswith("user:")}
        self._users.hear(connection, users)


def _everything(mine: Scope, memberships: Memberships) -> Sorted:
    """What a client without a cache is told: where it starts."""
    servers = {server_scope(server_id).name: rev for server_id, rev in memberships.servers.items()}
    return Sorted(current={mine.name: memberships.position, **servers})


@asynccontextmanager
async def _in_time(until: float) -> AsyncIterator[None]:
    """Raises Unavailable when the block is not through by `until`, on the monotonic clock."""
    try:
        async with asyncio.timeout(max(until - time.monotonic(), 0)):
            yield
    except TimeoutError as error:
        raise Unavailable from error
