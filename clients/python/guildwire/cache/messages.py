"""What events and replies do to the messages in the cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.entities import Entity, Outcome, change
from guildwire.cache.pages import Pages
from guildwire.cache.positions import Positions, Trust
from guildwire.cache.reads import Reads
from guildwire.cache.servers import channel_scope
from guildwire.cache.users import Users
from guildwire.changes import Action, Change

MESSAGES = "messages"
"""The part of a channel's scope that is loaded with the first page."""

NONCES_KEPT = 1_000

Params = Mapping[str, Any]


class Messages:
    """Pages are kept of those channels only that are `listed`."""

    def __init__(
        self,
        positions: Positions,
        users: Users,
        tell: Callable[[Change], None],
        listed: Callable[[str], bool],
        reads: Reads,
    ) -> None:
        self._positions = positions
        self._users = users
        self._tell = tell
        self._listed = listed
        self._reads = reads
        self.pages: dict[str, Pages] = {}
        self._nonces: OrderedDict[str, int] = OrderedDict()

    def clear(self) -> None:
        self.pages.clear()
        self._nonces.clear()

    def drop(self, channel_id: str) -> None:
        self._positions.unload(channel_scope(channel_id), MESSAGES)
        if self.pages.pop(channel_id, None) is not None:
            self._tell(Change("page", "deleted", channel_id))

    def begin(self, channel_id: str) -> None:
        """A channel in which nothing has happened yet: all of it is known."""
        scope = channel_scope(channel_id)
        if self._positions.part(scope, MESSAGES) is None:
            self._positions.load(scope, MESSAGES, 0)
            self.pages[channel_id] = Pages(live_end=True)

    def made_with(self, nonce: str) -> int | None:
        """The id of the message that I made with it, once its event came."""
        return self._nonces.get(nonce)

    def _note(self, nonce: str, message_id: int) -> None:
        self._nonces[nonce] = message_id
        if len(self._nonces) > NONCES_KEPT:
            self._nonces.popitem(last=False)

    # Events.

    def message_added(self, scope: str, rev: int, params: Params) -> None:
        message = params["message"]
        channel_id = message["channel_id"]
        if not self._listed(channel_id):
            return
        self._reads.message_added(message)
        if self._positions.part(scope, MESSAGES) is None:
            self._positions.load(scope, MESSAGES, rev)
        elif not self._positions.takes(scope, MESSAGES, rev):
            return
        if nonce := message.get("nonce"):
            self._note(nonce, message["id"])
        if self.pages.setdefault(channel_id, Pages()).take_new(_shown_to_all(message)):
            self._told("added", message["id"], channel_id)

    def message_changed(self, scope: str, rev: int, params: Params) -> None:
        if params["changes"].keys() & {"mentions", "mentions_everyone"}:
            self._reads.names_changed(scope.partition(":")[2], params["message_id"])
        pages = self._takes(scope, rev)
        mine = pages.messages.get(params["message_id"]) if pages is not None else None
        if pages is None or mine is None:
            return
        changes = dict(params["changes"])
        if "reactions" in changes:
            changes["reactions"] = self._my_reactions(mine, changes["reactions"], params.get("reaction"))
        entity, outcome = change(mine, changes, params["was"], rev)
        if outcome is Outcome.BEHIND:
            self._positions.doubt(scope, MESSAGES, mine["rev"])
        elif outcome is Outcome.APPLIED:
            pages.messages[params["message_id"]] = entity
            self._told("changed", params["message_id"], mine["channel_id"])

    def message_deleted(self, scope: str, rev: int, params: Params) -> None:
        pages, channel_id, number = self._takes(scope, rev), scope.partition(":")[2], params["message_id"]
        mine = pages.messages.pop(number, None) if pages is not None else None
        self._reads.message_gone(channel_id, number, mine)
        if mine is not None:
            self._told("deleted", number, channel_id)

    def _takes(self, scope: str, rev: int) -> Pages | None:
        return self.pages.get(scope.partition(":")[2]) if self._positions.takes(scope, MESSAGES, rev) else None

    def _my_reactions(self, mine: Entity, reactions: list[Entity], changed: Params | None) -> list[Entity]:
        """An event is the same for everyone: which reactions are mine follows from what I had and who reacted."""
        own = {each["emoji"] for each in mine["reactions"] if each["me"]}
        if changed is not None and changed["user_id"] == self._users.me:
            own = own | {changed["emoji"]} if changed["on"] else own - {changed["emoji"]}
        return [{**each, "me": each["emoji"] in own} for each in reactions]

    # Replies.

    def read(self, params: Params, result: Params) -> None:
        """A page, or with `since` what changed in the whole channel."""
        channel_id = params["channel_id"]
        self._users.take_all(result.get("users", ()))
        if not self._listed(channel_id):
            return
        scope = channel_scope(channel_id)
        pages = self.pages.setdefault(channel_id, Pages())
        part = self._positions.part(scope, MESSAGES)
        if not result["full"]:
            for message in result.get("replies", ()):
                pages.take(message)
            pages.take_delta(result["updated"], result["deleted"], result.get("last_message_id", 0))
        else:
            if "since" in params:
                pages.clear()
            pages.take_page(params, result)
        if part is None or "since" in params:
            self._positions.load(scope, MESSAGES, result["rev"])
        self._tell(Change("page", "changed", channel_id))

    def wrote(self, message: Entity) -> None:
        """The reply to a write: its event may have come already, and so may have one that deletes it again."""
        scope = channel_scope(message["channel_id"])
        pages, part = self.pages.get(message["channel_id"]), self._positions.part(scope, MESSAGES)
        if pages is None or part is None or part.trust is not Trust.LIVE:
            return
        if message["id"] in pages.messages:
            if pages.take(_shown_to_all(message)):
                self._told("changed", message["id"], message["channel_id"])
        elif message["rev"] > part.rev and pages.take_own(_shown_to_all(message)):
            self._told("added", message["id"], message["channel_id"])

    def _told(self, action: Action, message_id: int, channel_id: str) -> None:
        self._tell(Change("message", action, message_id, channel_id))


def _shown_to_all(message: Entity) -> Entity:
    """A message as every reader has it: the nonce is its author's alone, and comes with the event only."""
    return {name: value for name, value in message.items() if name != "nonce"}
