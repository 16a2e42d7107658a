"""`authenticate`: from a token to a connection that hears everything it should, before the reply is sent."""

from __future__ import annotations

import asyncio
import time

import orjson

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.sessions import Sessions
from services.gateway.upstream import Upstream
from services.gateway.visibility import Visibility
from shared.errors import Conflict, Unavailable
from shared.protocol.account import IDENTIFY, Authenticated, Identity
from shared.protocol.contract import NoParams
from shared.protocol.internal import GET_MEMBERSHIPS
from shared.scopes import self_scope, server_scope


class Entrance:
    def __init__(self, upstream: Upstream, interest: Interest, visibility: Visibility, sessions: Sessions) -> None:
        self._upstream = upstream
        self._interest = interest
        self._visibility = visibility
        self._sessions = sessions

    async def authenticate(self, connection: Connection, params: dict[str, object], until: float) -> Authenticated:
        """Raises what presence refuses with, Conflict when done before, or Unavailable; then nothing is attached."""
        if connection.user_id:
            raise Conflict("This connection is authenticated already.")
        payload = orjson.dumps(params)
        reply = await self._upstream.forward(IDENTIFY, payload, user_id="", session_id="", until=until)
        identity = Identity.model_validate_json(reply.payload, extra="ignore")
        try:
            current = await self._attach(connection, identity.user.id, until)
        except BaseException:
            self._visibility.forget(connection)
            connection.user_id = ""
            raise
        connection.session_id = identity.session_id
        self._sessions.add(connection)
        return Authenticated(
            user=identity.user,
            session_id=identity.session_id,
            epoch=identity.epoch,
            current=current,
            stale=[],
            gone=[],
        )

    async def _attach(self, connection: Connection, user_id: str, until: float) -> dict[str, int]:
        connection.user_id = user_id
        mine = self_scope(user_id)
        memberships = await self._upstream.call(GET_MEMBERSHIPS, NoParams(), user_id)
        self._interest.join(self._interest.follow(mine, memberships.position), connection, memberships.position)
        attached = [
            self._visibility.enter(connection, server_id, rev, {}) for server_id, rev in memberships.servers.items()
        ]
        if attached:
            # A channel's position is where its feed stands when the connection joins: that must be before the reply.
            _, late = await asyncio.wait(attached, timeout=max(until - time.monotonic(), 0))
            if late:
                raise Unavailable
        servers = {server_scope(server_id).name: rev for server_id, rev in memberships.servers.items()}
        return {mine.name: memberships.position, **servers}

    def leave(self, connection: Connection) -> None:
        """The socket is closed: nothing is told to it any more."""
        self._sessions.remove(connection)
        self._visibility.forget(connection)
