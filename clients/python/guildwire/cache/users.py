"""Public profiles: the last ones that were handed over."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from guildwire.cache.entities import Entity, Outcome, change, replaces
from guildwire.cache.positions import Positions
from guildwire.changes import Change

MOST_USERS = 5_000
PART = "user"


def user_scope(user_id: str) -> str:
    return f"user:{user_id}"


class Users:
    """`surplus` collects the scopes let go of here, of which the server need not tell any more."""

    def __init__(self, positions: Positions, tell: Callable[[Change], None], limit: int = MOST_USERS) -> None:
        self._positions = positions
        self._tell = tell
        self._limit = limit
        self._users: OrderedDict[str, Entity] = OrderedDict()
        self.me = ""
        self.surplus: list[str] = []

    def get(self, user_id: str) -> Entity | None:
        return self._users.get(user_id)

    def all(self) -> Mapping[str, Entity]:
        return self._users

    def take(self, user: Mapping[str, Any]) -> None:
        """A whole user: from now on this connection is told of them."""
        user_id = user["id"]
        scope = user_scope(user_id)
        mine = self._users.get(user_id)
        if replaces(mine, user):
            entity = {name: value for name, value in user.items() if name != "full"}
            self._users[user_id] = entity
            self._positions.load(scope, PART, user["rev"])
            if self._positions.too_old(scope, user["rev"]):
                # Out of an event of another scope, as of then; what changed since could not be applied when it came.
                self._positions.doubt(scope, PART, user["rev"])
            if entity != mine:
                self._tell(Change("user", "added" if mine is None else "changed", user_id))
        self._users.move_to_end(user_id)
        while len(self._users) > self._limit:
            self._let_go()

    def take_all(self, users: Iterable[Mapping[str, Any]]) -> None:
        for user in users:
            self.take(user)

    def change(self, scope: str, rev: int, params: Mapping[str, Any]) -> None:
        mine = self._users.get(params["user_id"])
        if mine is None or not self._positions.takes(scope, PART, rev):
            return
        entity, outcome = change(mine, params["changes"], params["was"], rev)
        if outcome is Outcome.BEHIND:
            self._positions.doubt(scope, PART, mine["rev"])
        elif outcome is Outcome.APPLIED:
            self._users[params["user_id"]] = entity
            self._tell(Change("user", "changed", params["user_id"]))

    def confirm(self, user_ids: Iterable[str]) -> None:
        """These were asked for with their revs, and nothing newer came."""
        for user_id in user_ids:
            if (mine := self._users.get(user_id)) is not None:
                self._positions.load(user_scope(user_id), PART, mine["rev"])

    def drop(self, user_id: str) -> None:
        self._positions.drop(user_scope(user_id))
        if self._users.pop(user_id, None) is not None:
            self._tell(Change("user", "deleted", user_id))

    def clear(self) -> None:
        for user_id in self._users:
            self._positions.drop(user_scope(user_id))
        self._users.clear()
        self.surplus.clear()

    def _let_go(self) -> None:
        """The one handed over longest ago, never oneself."""
        if next(iter(self._users)) == self.me:
            self._users.move_to_end(self.me)
        oldest = next(iter(self._users))
        self.surplus.append(user_scope(oldest))
        self.drop(oldest)
