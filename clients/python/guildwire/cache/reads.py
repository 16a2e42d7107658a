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
        self.news = 0
        """How often something came that a reply which was asked for before may not have counted."""
        self._named: dict[str, set[int]] = {}
        """By channel, the unread messages that name me, of those that events have told: one reply may end below them.

        Not doubted instead: all who an `@everyone` overtook would ask once more.
        """

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
        self.news += 1
        self._ask_again()

    def _ask_again(self) -> None:
        scope = f"self:{self.me}"
        if (part := self._positions.part(scope, READS)) is not None:
            self._positions.doubt(scope, READS, part.rev)

    # Events.

    def read_changed(self, scope: str, rev: int, params: Params) -> None:
        """How far its count goes it does not say: a message heard before may be missing, one still to come be in it."""
        channel_id, read_id, mentions = params["channel_id"], params["read_id"], params["mentions"]
        mine = self.states.get(channel_id)
        if not self._positions.takes(scope, READS, rev) or (mine is not None and mine["read_id"] >= read_id):
            return
        if mine is None or mentions or (mine["mentions"] and read_id < mine["last_message_id"]):
            self.doubt()
        self._put(channel_id, read_id, mentions, read_id)

    def message_added(self, message: Params) -> None:
        """One's own is read with all before it; another's may name one. A reply may have counted it already."""
        channel_id, number = message["channel_id"], message["id"]
        mine = self.states.get(channel_id)
        if mine is None:
            self.doubt()
        elif number <= mine["last_message_id"]:
            return
        elif message["author_id"] == self.me:
            self._put(channel_id, number, 0, number)
        elif self._names_me(message):
            self._named.setdefault(channel_id, set()).add(number)
            self._put(channel_id, mine["read_id"], mine["mentions"] + 1, number)
        else:
            self._put(channel_id, mine["read_id"], mine["mentions"], number)

    def names_changed(self, channel_id: str, number: int) -> None:
        """A message names others than before: whether me among them before, only who holds it could say."""
        if not self._is_read(channel_id, number):
            self.doubt()

    def message_gone(self, channel_id: str, number: int, message: Params | None) -> None:
        """It was deleted; without the message it is not known whom it named. A reply may have left it out already."""
        if self._is_read(channel_id, number) or (message is not None and not self._names_me(message)):
            return
        mine = self.states.get(channel_id)
        if message is None and mine is not None and not mine["mentions"]:
            self.news += 1  # none is counted here, but one may be in a reply on its way
        else:
            self.doubt()

    def _is_read(self, channel_id: str, number: int) -> bool:
        mine = self.states.get(channel_id)
        return mine is not None and number <= mine["read_id"]

    def _names_me(self, message: Params) -> bool:
        return bool(message["mentions_everyone"] or self.me in message["mentions"])

    # Replies. `asked` is what `news` was at the request; None: as it is now.

    def read(self, scope: str, params: Params, result: Params, asked: int | None = None) -> None:
        if "server_id" not in params:
            self._positions.load(scope, READS, result["rev"])
            for gone in self.states.keys() - {state["channel_id"] for state in result["read_states"]}:
                self.drop(gone)
        for state in result["read_states"]:
            self._take(state)
        self._compare(asked)

    def wrote(self, state: Params, asked: int | None = None) -> None:
        mine = self.states.get(state["channel_id"])
        if mine is not None and state["read_id"] > mine["read_id"]:
            self._take(state)
            self._compare(asked)

    def _compare(self, asked: int | None) -> None:
        """What came since the request may be missing in the reply."""
        if asked is not None and asked < self.news:
            self._ask_again()

    def _take(self, state: Params) -> None:
        """From a reply, beyond which events may have told more already. Reading never goes back: then it is older."""
        channel_id, read_id, last_id = state["channel_id"], state["read_id"], state["last_message_id"]
        mine = self.states.get(channel_id)
        if mine is not None and mine["read_id"] > read_id:
            return
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
