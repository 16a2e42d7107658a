"""How far each channel has been read, and how often what follows names the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.entities import Entity
from guildwire.cache.positions import Positions
from guildwire.changes import Change

READS = "reads"
"""The part of the self scope that is loaded with the read states."""

Params = Mapping[str, Any]


class Reads:
    """`{read_id, mentions}` by channel. Where sight of a channel begins the server knows best: they are asked again."""

    def __init__(self, positions: Positions, tell: Callable[[Change], None]) -> None:
        self._positions = positions
        self._tell = tell
        self.states: dict[str, Entity] = {}
        self.me = ""

    def clear(self) -> None:
        self.states.clear()

    def drop(self, channel_id: str) -> None:
        self.states.pop(channel_id, None)

    def doubt(self) -> None:
        """A channel has come, or whom a message names was changed: ask again."""
        scope = f"self:{self.me}"
        if (part := self._positions.part(scope, READS)) is not None:
            self._positions.doubt(scope, READS, part.rev)

    # Events.

    def read_changed(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.takes(scope, READS, rev):
            self._put(params["channel_id"], params["read_id"], params["mentions"])

    def message_added(self, message: Params) -> None:
        """One's own is read with all before it; another's may name one."""
        mine = self.states.get(message["channel_id"])
        if mine is None or message["id"] <= mine["read_id"]:
            return
        if message["author_id"] == self.me:
            self._put(message["channel_id"], message["id"], 0)
        elif self._names_me(message):
            self._put(message["channel_id"], mine["read_id"], mine["mentions"] + 1)

    def message_gone(self, message: Params) -> None:
        """One that the cache had was deleted."""
        mine = self.states.get(message["channel_id"])
        if mine is not None and message["id"] > mine["read_id"] and self._names_me(message):
            self._put(message["channel_id"], mine["read_id"], max(mine["mentions"] - 1, 0))

    def _names_me(self, message: Params) -> bool:
        return bool(message["mentions_everyone"] or self.me in message["mentions"])

    # Replies.

    def read(self, scope: str, params: Params, result: Params) -> None:
        if "server_id" not in params:
            self.states.clear()
            self._positions.load(scope, READS, result["rev"])
        for state in result["read_states"]:
            self._put(state["channel_id"], state["read_id"], state["mentions"])

    def wrote(self, state: Params) -> None:
        mine = self.states.get(state["channel_id"])
        if mine is not None and state["read_id"] > mine["read_id"]:
            self._put(state["channel_id"], state["read_id"], state["mentions"])

    def _put(self, channel_id: str, read_id: int, mentions: int) -> None:
        self.states[channel_id] = {"read_id": read_id, "mentions": mentions}
        self._tell(Change("read", "changed", channel_id))
