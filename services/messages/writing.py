"""What every handler that changes messages does: it judges, finds the message, and appends to the channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from services.messages.sights import Sights
from shared.errors import LostRace, NotFound
from shared.journal import Append, Head, Lookup, Written
from shared.rights import Sight
from shared.service import Call, Parts
from shared.store import Document, translated

R = TypeVar("R", bound=BaseModel)


class Writing:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._sights = Sights(parts)

    async def sight(self, call: Call, channel_id: str) -> Sight:
        return await self._sights.of(call, channel_id)

    async def find(self, channel_id: str, message_id: int) -> Document:
        """The message's document, a tombstone (without `live`) included; raises NotFound when there never was one."""
        with translated():
            message = await self._store["messages"].find_one({"channel_id": channel_id, "id": message_id})
        if message is None:
            raise NotFound("message")
        return message

    async def find_live(self, channel_id: str, message_id: int) -> Document:
        message = await self.find(channel_id, message_id)
        if "live" not in message:
            raise NotFound("message")
        return message

    async def append(
        self, call: Call, sight: Sight, write: Callable[[Head], Written[R]], reads: Sequence[Lookup] = ()
    ) -> R:
        requires = [sight.still_as_judged]
        append = Append(sight.scope, write, requires=requires, perm_rev=sight.perm_rev, reads=reads)
        return call.appended(await self._journal.append(call.origin, append))


def message_lookup(channel_id: str, message_id: int) -> Lookup:
    return Lookup("messages", (("channel_id", channel_id), ("id", message_id)))


def live(head: Head, lookup: Lookup) -> Document:
    """The message as it is right before an append; raises LostRace when it was deleted since it was judged."""
    message = head.documents[lookup]
    if message is None or "live" not in message:
        raise LostRace
    return message


def unchanged(before: Document) -> Document:
    """Matches the message only as it was."""
    return {"channel_id": before["channel_id"], "id": before["id"], "rev": before["rev"], "live": True}
