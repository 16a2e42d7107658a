"""Opening a direct channel: to who makes it, and with its next message to all others in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel

from services.messages.direct_sight import DirectSight, people_in
from shared.directs import MAX_OPEN, opened
from shared.errors import Conflict, LostRace
from shared.journal import Change, Head, Written
from shared.profiles import read_profiles
from shared.protocol.account import User
from shared.protocol.direct import DirectChannel, DirectChannelAdded
from shared.scopes import Scope, channel_scope, self_scope
from shared.service import Call, Parts
from shared.store import Document, Store, translated

R = TypeVar("R", bound=BaseModel)


class Opening:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    async def with_message(self, call: Call, sight: DirectSight, write: Callable[[Head], Written[R]]) -> R:
        """Appends a message to a channel that is not open to all in it, and opens it to them: in one transaction."""
        told, people = sight.unaware, people_in(sight.direct)
        shown = await profiles_for(self._store, told, people, together=people)
        async with self._journal.change(call.origin, sight.scope, *map(self_scope, told)) as change:
            if await change.find_one("directs", sight.still_as_judged.filter) is None:
                raise LostRace
            outcome = change.follow(sight.scope, write)
            for user_id in told:
                await must_have_room(change, user_id)
                # From before the message, so that it follows as the first of the channel's events.
                tell_opened(change, sight.direct, user_id, shown[user_id], change.head(sight.scope).rev)
            update_open(change, sight.direct, told)
            outcome = change.returns(outcome)
        return call.appended(outcome)


def tell_opened(change: Change, direct: Document, user_id: str, users: list[User], at: int) -> DirectChannel:
    """Records in the user's `self` that the channel is open, or who is in it now."""
    scope = direct_scope(direct["_id"])
    view = direct_view(direct, users, change.head(scope).last_id, change.rev(self_scope(user_id)))
    change.record(self_scope(user_id), DirectChannelAdded(channel=view, at=at))
    return view


def update_open(change: Change, direct: Document, told: Iterable[str], **more: Any) -> None:
    """Writes to whom it is open: at which revision of theirs, and where they start to read."""
    start = change.head(direct_scope(direct["_id"])).last_id
    opened_to = {
        f"open.{user_id}": {"start": start, **direct["open"].get(user_id, {}), "rev": change.rev(self_scope(user_id))}
        for user_id in told
    }
    same = {"_id": direct["_id"], "stamp": direct["stamp"]}
    change.update("directs", same, {"$set": {**opened_to, **more}, "$inc": {"stamp": 1}})
    # Who is in it becomes acquainted, or no longer is: whom a status is told must be read again.
    change.update_all("users", {"_id": {"$in": direct["users"]}}, {"$inc": {"directs": 1}})


async def must_have_room(change: Change, user_id: str) -> None:
    """Raises Conflict for who has as many direct channels open as one may."""
    if len(await change.find("directs", opened(user_id), MAX_OPEN, projection={"_id": 1})) >= MAX_OPEN:
        raise Conflict(f"One can have at most {MAX_OPEN} direct channels open; one of them must be left first.")


async def profiles_for(
    store: Store, readers: Iterable[str], user_ids: list[str], *, together: Collection[str]
) -> dict[str, list[User]]:
    """The same users as each of the readers sees them; `together` are those whom the channel is then open to."""
    readers = list(readers)
    views = await asyncio.gather(*(read_profiles(store, user_ids, reader, together=together) for reader in readers))
    return dict(zip(readers, views, strict=True))


def direct_view(direct: Document, users: list[User], last_message_id: int, rev: int) -> DirectChannel:
    return DirectChannel(id=direct["_id"], users=users, last_message_id=last_message_id, rev=rev)


def direct_scope(channel_id: str) -> Scope:
    return channel_scope(channel_id, "")


async def find_direct(store: Store, **key: str) -> Document | None:
    with translated():
        document: Document | None = await store["directs"].find_one(key)
    return document
