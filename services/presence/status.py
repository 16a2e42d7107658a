"""Coming and going: where a user has sockets, and what others see of it.

`present` in the user's document names the gateways' leases under which sockets of theirs are open. Only from empty and
to empty does it change what others see, and only then does the `user:` scope move; by an update that names what was
read, so that one who comes and one who goes at the same moment conflict.
"""

from __future__ import annotations

from typing import Any

from shared import acquaintance
from shared.acquaintance import CIRCLE, same_circle, still_in
from shared.errors import LostRace
from shared.friendship import Reader
from shared.journal import Append, Head, Journal, Origin, Written
from shared.profiles import PROFILE, shown_status
from shared.protocol.account import UserChanged
from shared.protocol.contract import Audience, Empty
from shared.scopes import user_scope
from shared.store import Document, Store, translated
from shared.writes import Update

_PLACES: Document = dict.fromkeys(("status", "present", "rev", "deleted", *CIRCLE), 1)


class Whereabouts:
    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def come(self, origin: Origin, user_id: str, lease: str) -> Document | None:
        """There is a socket under this lease. Returns whose PROFILE it is if they were online. Raises LostRace."""
        elsewhere = {"_id": user_id, "present.0": {"$exists": True}}
        here = {"$addToSet": {"present": lease}}
        user = await self._store.changed("users", elsewhere, here, PROFILE)
        if user is None:
            await self._move(origin, user_id, [], [lease])
        return user

    async def go(self, origin: Origin, user_id: str, lease: str) -> None:
        """There is none any more. Raises LostRace."""
        elsewhere = {"_id": user_id, "present": lease, "present.1": {"$exists": True}}
        if not await self._update(elsewhere, {"$pull": {"present": lease}}):
            await self._move(origin, user_id, [lease], [])

    async def _move(self, origin: Origin, user_id: str, before: list[str], after: list[str]) -> None:
        """From one list of leases to another, of which one is empty; nothing if it is that already."""
        with translated():
            user = await self._store["users"].find_one({"_id": user_id}, projection=_PLACES)
        if user is None or (before and before[0] not in user.get("present", [])):
            return
        if user.get("present", []) != before:
            raise LostRace
        moved = {**user, "present": after}
        # Whom it is told is read after the user: who has come or gone since has raised a counter.
        same = {"_id": user_id, "rev": user["rev"], "present": before or {"$in": [None, []]}, **same_circle(user)}
        async with self._store.snapshot() as snapshot:
            news = await status_news(snapshot, user, moved)
        if not news:
            if not await self._update({**same, "status": user["status"]}, {"$set": {"present": after}}):
                raise LostRace
            return
        told = UserChanged(user_id=user_id, changes={}, was=user["rev"]).judged_by(**news)
        own = {"user_id": user_id, "params": {"changes": {"status": user["status"]}}}

        def write(head: Head) -> Written[Empty]:
            change = Update("users", same, {"$set": {"present": after, "rev": head.rev + 1}})
            return Written(told, [change], Empty(), head.last_id, own, audience=Audience.ACQUAINTANCES)

        await self._journal.append(origin, Append(user_scope(user_id), write, requires=still_in(news)))

    async def _update(self, filter_: Document, update: Document) -> bool:
        with translated():
            result = await self._store["users"].update_one(filter_, update)
        return bool(result.matched_count)


async def status_news(reader: Reader, before: Document, after: Document) -> dict[str, Any]:
    """What an event's facts say of a change in what others see: to whom it is told, and what; nothing if none."""
    shown = shown_status(after)
    if shown == shown_status(before):
        return {}
    return {**await acquaintance.acquaintances(reader, before["_id"]), "shown": {"changes": {"status": shown}}}
