"""How far each channel has been read, and how often what follows names the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from guildwire.cache.entities import Entity
from guildwire.cache.positions import Positions
from guildwire.cache.servers import channel_scope
from guildwire.changes import Change

READS = "reads"
"""The part of the self scope that is loaded with the read states."""

Params = Mapping[str, Any]


class Reads:
    """`{read_id, mentions, last_message_id}` by channel; `mentions` are counted up to `last_message_id`.

    Where sight of a channel begins the server knows best, and so it does after a time away in which something was said
    that was never told: they are asked for again.
    """

    def __init__(self, positions: Positions, tell: Callable[[Change], None]) -> None:
        self._positions = positions
        self._tell = tell
        self.states: dict[str, Entity] = {}
        self.me = ""
        self._named: dict[str, set[int]] = {}
        """By channel, the unread messages that name me, of those that events have told."""

    def clear(self) -> None:
        self.states.clear()
        self._named.clear()

    def drop(self, channel_id: str) -> None:
        self.states.pop(channel_id, None)
        self._named.pop(channel_id, None)

    @property
    def scopes(self) -> set[str]:
        """Of the channels whose state is known."""
        return set(map(channel_scope, self.states))

    def came_back(self, untold: Iterable[str]) -> None:
        """What was missed of these scopes will not be told."""
        if not self.scopes.isdisjoint(untold):
            self.doubt()

    def doubt(self) -> None:
        """A channel has come, whom a message names was changed, or something was missed: ask again."""
        scope = f"self:{self.me}"
        if (part := self._positions.part(scope, READS)) is not None:
            self._positions.doubt(scope, READS, part.rev)

    # Events.

    def read_changed(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.takes(scope, READS, rev):
            # How far its count goes it does not say: no less than what is known here.
            channel_id, read_id = params["channel_id"], params["read_id"]
            known = len(self._named_above(channel_id, read_id))
            self._put(channel_id, read_id, max(params["mentions"], known), read_id)

    def message_added(self, message: Params) -> None:
        """One's own is read with all before it; another's may name one. A reply may have counted it already."""
        channel_id, number = message["channel_id"], message["id"]
        mine = self.states.get(channel_id)
        if mine is None or number <= mine["last_message_id"]:
            return
        if message["author_id"] == self.me:
            self._put(channel_id, number, 0, number)
        elif self._names_me(message):
            self._named.setdefault(channel_id, set()).add(number)
            self._put(channel_id, mine["read_id"], mine["mentions"] + 1, number)
        else:
            self._put(channel_id, mine["read_id"], mine["mentions"], number)

    def message_gone(self, channel_id: str, number: int, message: Params | None) -> None:
        """It was deleted; without the message it is not known whom it named."""
        mine = self.states.get(channel_id)
        if mine is None or number <= mine["read_id"] or not mine["mentions"]:
            return
        if message is None:
            self.doubt()
        elif self._names_me(message):
            self._named.get(channel_id, set()).discard(number)
            self._put(channel_id, mine["read_id"], mine["mentions"] - 1, number)

    def _names_me(self, message: Params) -> bool:
        return bool(message["mentions_everyone"] or self.me in message["mentions"])

    # Replies.

    def read(self, scope: str, params: Params, result: Params) -> None:
        if "server_id" not in params:
            self._positions.load(scope, READS, result["rev"])
            for gone in self.states.keys() - {state["channel_id"] for state in result["read_states"]}:
                self.drop(gone)
        for state in result["read_states"]:
            self._take(state)

    def wrote(self, state: Params) -> None:
        mine = self.states.get(state["channel_id"])
        if mine is not None and state["read_id"] > mine["read_id"]:
            self._take(state)

    def _take(self, state: Params) -> None:
        """From a reply, beyond which events may have told more already."""
        channel_id, read_id, last_id = state["channel_id"], state["read_id"], state["last_message_id"]
        later = len(self._named_above(channel_id, max(read_id, last_id)))
        self._put(channel_id, read_id, state["mentions"] + later, last_id)

    def _named_above(self, channel_id: str, number: int) -> set[int]:
        return {each for each in self._named.get(channel_id, ()) if each > number}

    def _put(self, channel_id: str, read_id: int, mentions: int, last_id: int) -> None:
        mine = self.states.get(channel_id)
        last_id = max(last_id, mine["last_message_id"] if mine else 0)
        self.states[channel_id] = {"read_id": read_id, "mentions": mentions, "last_message_id": last_id}
        self._named[channel_id] = self._named_above(channel_id, read_id)
        self._tell(Change("read", "changed", channel_id))
