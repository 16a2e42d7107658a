"""The direct channels of each connection: from `authenticate` on it hears those that are open to its user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.ordering import Feed
from shared.journal.entry import Entry, happened
from shared.scopes import channel_scope


class Directs:
    def __init__(self, interest: Interest) -> None:
        self._interest = interest

    def enter(self, connection: Connection, heads: Mapping[str, int], known: Mapping[str, int]) -> None:
        """Attaches a connection to these, each from the client's position by scope, or else from the head."""
        for channel_id, head in heads.items():
            scope = channel_scope(channel_id, "")
            self._interest.join(self._interest.follow(scope, head), connection, known.get(scope.name, head))

    def on_entry(self, feed: Feed[Connection], entry: Entry) -> None:
        """Once per entry, before anyone is told: who has left hears nothing later, unless it came back later still."""
        for params in happened([entry], "direct_channel_left"):
            for connection in feed.holders():
                if connection.user_id == params["user_id"] and (feed.place_of(connection) or 0) < entry.rev:
                    self._interest.leave(feed, connection)

    def told(self, connection: Connection, event: dict[str, Any]) -> None:
        """What an event of its `self`, once told, changes in what this connection hears."""
        params = event["params"]
        match event["name"]:
            case "direct_channel_added":
                channel_id = params["channel"]["id"]
                connection.directs.add(channel_id)
                self.enter(connection, {channel_id: params["at"]}, {})
            case "direct_channel_deleted":
                connection.directs.discard(params["channel_id"])
                if feed := self._interest.feed(f"channel:{params['channel_id']}"):
                    self._interest.leave(feed, connection)
