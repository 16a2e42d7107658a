"""What events and replies do to the direct channels in the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.entities import Entity, replaces
from guildwire.cache.positions import Positions, Trust
from guildwire.cache.servers import channel_scope, without
from guildwire.cache.users import Users
from guildwire.changes import Change

DIRECTS = "directs"
"""The part of the self scope that says which direct channels are open."""

Params = Mapping[str, Any]


class Directs:
    """Each channel with `user_ids`; the users themselves are kept among the users."""

    def __init__(
        self,
        positions: Positions,
        users: Users,
        tell: Callable[[Change], None],
        drop_pages: Callable[[str], None],
        begin_pages: Callable[[str], None],
    ) -> None:
        self._positions = positions
        self._users = users
        self._tell = tell
        self._drop_pages = drop_pages
        self._begin_pages = begin_pages
        self.channels: dict[str, Entity] = {}

    def clear(self) -> None:
        self.channels.clear()

    def drop(self, channel_id: str) -> None:
        if self.channels.pop(channel_id, None) is not None:
            self._positions.drop(channel_scope(channel_id))
            self._drop_pages(channel_id)
            self._tell(Change("direct", "deleted", channel_id))

    # Events.

    def direct_channel_added(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.part(scope, DIRECTS) is not None and not self._positions.takes(scope, DIRECTS, rev):
            return
        channel_id = params["channel"]["id"]
        is_new = channel_id not in self.channels
        self._put(params["channel"])
        if is_new:
            self._positions.begin(channel_scope(channel_id), params["at"])
            if params["at"] == 0:
                self._begin_pages(channel_id)

    def direct_channel_deleted(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.part(scope, DIRECTS) is None or self._positions.ends(scope, DIRECTS, rev):
            self.drop(params["channel_id"])

    # Replies.

    def read(self, scope: str, result: Params) -> None:
        found = result["channels"] if result["full"] else result["updated"]
        gone = set(self.channels) - {channel["id"] for channel in found} if result["full"] else result["deleted"]
        for channel_id in gone:
            self.drop(channel_id)
        for channel in found:
            self._put(channel)
        self._positions.load(scope, DIRECTS, result["rev"])

    def wrote(self, scope: str, channel: Params) -> None:
        """The reply to a write: its event may have come already, and so may have one that ends it."""
        part = self._positions.part(scope, DIRECTS)
        if part is not None and part.trust is Trust.LIVE and channel["rev"] > part.rev:
            self._put(channel)

    def _put(self, channel: Params) -> None:
        self._users.take_all(channel["users"])
        mine = self.channels.get(channel["id"])
        if replaces(mine, channel):
            user_ids = [user["id"] for user in channel["users"]]
            self.channels[channel["id"]] = {**without(channel, "users"), "user_ids": user_ids}
            self._tell(Change("direct", "added" if mine is None else "changed", channel["id"]))
