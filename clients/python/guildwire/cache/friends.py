"""Friends, requests and blocks: how others stand to me. The users themselves are kept among the users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.entities import Entity, replaces
from guildwire.cache.positions import Positions
from guildwire.cache.users import Users
from guildwire.changes import Change

FRIENDS = "friends"
"""A part of my own scope."""

Params = Mapping[str, Any]


class Friends:
    """`all` by the other's id, each `{user_id, state, rev}`; `complete` once every page of the list came."""

    def __init__(self, positions: Positions, users: Users, tell: Callable[[Change], None]) -> None:
        self._positions = positions
        self._users = users
        self._tell = tell
        self.all: dict[str, Entity] = {}
        self.complete = False

    def read(self, scope: str, params: Params, result: Params) -> None:
        """`get_friends`, whole, a page of it, or what changed."""
        if not result["full"]:
            for user_id in result["deleted"]:
                self._drop(user_id)
            self._put_all(result["updated"])
            self._positions.load(scope, FRIENDS, result["rev"])
            return
        if "anchor" not in params:
            listed = {friend["user"]["id"] for friend in result["friends"]}
            for user_id in set(self.all) - listed:
                self._drop(user_id)
            self._positions.load(scope, FRIENDS, result["rev"])
        self._put_all(result["friends"])
        self.complete = result["next_anchor"] is None

    def friend_added(self, scope: str, rev: int, params: Params) -> None:
        self._users.take(params["friend"]["user"])
        if self._positions.takes(scope, FRIENDS, rev):
            self._put(params["friend"])

    def friend_changed(self, scope: str, rev: int, params: Params) -> None:
        mine = self.all.get(params["user_id"])
        if mine is None or not self._positions.takes(scope, FRIENDS, rev):
            return
        self.all[params["user_id"]] = {**mine, "state": params["state"], "rev": rev}
        self._tell(Change("friend", "changed", params["user_id"]))

    def friend_deleted(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.takes(scope, FRIENDS, rev):
            self._drop(params["user_id"])

    def wrote(self, scope: str, friend: Params) -> None:
        """The answer to a request of mine, unless events have passed it already."""
        self._users.take(friend["user"])
        if self._positions.takes(scope, FRIENDS, friend["rev"]):
            self._put(friend)

    def clear(self) -> None:
        self.all.clear()
        self.complete = False

    def _put_all(self, friends: list[Params]) -> None:
        for friend in friends:
            self._users.take(friend["user"])
            self._put(friend)

    def _put(self, friend: Params) -> None:
        user_id = friend["user"]["id"]
        mine = self.all.get(user_id)
        entity = {"user_id": user_id, "state": friend["state"], "rev": friend["rev"]}
        if replaces(mine, entity) and entity != mine:
            self.all[user_id] = entity
            self._tell(Change("friend", "added" if mine is None else "changed", user_id))

    def _drop(self, user_id: str) -> None:
        if self.all.pop(user_id, None) is not None:
            self._tell(Change("friend", "deleted", user_id))
