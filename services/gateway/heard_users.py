"""The users each connection is told of: those that came to it whole, the last so many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.gateway.connection import Connection
from services.gateway.frames import notification
from services.gateway.interest import Interest
from shared.protocol.connection import Forgotten
from shared.scopes import user_scope


class HeardUsers:
    def __init__(self, interest: Interest, limit: int) -> None:
        self._interest = interest
        self._limit = limit

    def hear(self, connection: Connection, users: Mapping[str, int]) -> None:
        """The client was given these users, by id, as of a revision: their events follow from there."""
        if connection.closing:
            return
        for user_id, rev in users.items():
            scope = user_scope(user_id)
            if scope.name not in connection.user_scopes:
                self._interest.join(self._interest.follow(scope, rev), connection, rev)
            connection.user_scopes[scope.name] = None
            connection.user_scopes.move_to_end(scope.name)
        surplus = len(connection.user_scopes) - self._limit
        if surplus > 0:
            oldest = list(connection.user_scopes)[:surplus]
            self.forget(connection, oldest)
            connection.reply(notification(Forgotten.name, Forgotten(scopes=oldest).model_dump()))

    def forget(self, connection: Connection, scopes: Iterable[str]) -> None:
        for name in scopes:
            if name not in connection.user_scopes:
                continue
            del connection.user_scopes[name]
            if feed := self._interest.feed(name):
                self._interest.leave(feed, connection)
