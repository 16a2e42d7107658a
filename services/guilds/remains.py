"""What a deleted server or role leaves behind: nobody sees it any more, and it goes in batches.

A batch may be run again, or beside itself: it takes what it still finds. So a member is told once that the server is
gone, in the transaction that takes the membership away.
"""

from __future__ import annotations

from services.guilds.reading import members_at_once, settle
from services.guilds.standing import Reader
from shared.cascade import Task, cascade, works_off
from shared.errors import LostRace, NotFound
from shared.journal import Change
from shared.journal.reader import head_within
from shared.protocol.server import ServerClosed, ServerDeleted
from shared.reading_starts import pending_widenings
from shared.scopes import Scope, channel_scope, self_scope, server_scope
from shared.service import Parts
from shared.store import Document, translated

_SCOPES = 50
_DOCUMENTS = 500


def close_server(change: Change, scope: Scope) -> None:
    """Deletes a server, at once for everybody; the rest is left to the cascade."""
    change.delete("servers", {"_id": scope.id})
    change.record(scope, ServerClosed(server_id=scope.id))
    change.insert("cascades", cascade("guilds", "server", server_id=scope.id))


def close_channel(change: Change, channel: Scope) -> None:
    """Deletes a channel; what was said in it is left to the cascade.

    Its own scope gets a last entry, without events: nothing that was judged before can be written after it, and who
    deletes the channel again can be told from who asks for what never was.
    """
    change.delete("channels", {"_id": channel.id})
    change.record(channel)
    change.insert("cascades", cascade("messages", "channel", channel_id=channel.id))


async def must_have_deleted(reader: Reader, scope: Scope, user_id: str, kind: str) -> None:
    """Raises NotFound unless this user wrote the last entry of a scope that is no more. A scope's last entry stays."""
    last = await reader.find_one("journal", {"scope": scope.name}, sort=[("rev", -1)])
    if last is None or last["by"].get("user") != user_id:
        raise NotFound(kind)


class Remains:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @works_off("server")
    async def server(self, task: Task) -> bool:
        in_server = {"server_id": task.about["server_id"]}
        if await self._members(task, in_server) or await self._channels(task, in_server):
            return False
        for collection in ("roles", "categories", "invites", "bans", "reading_starts"):
            ids = await self._ids(collection, in_server)
            if ids:
                with translated():
                    await self._store[collection].delete_many({"_id": {"$in": ids}})
                return False
        return True

    @works_off("role")
    async def role(self, task: Task) -> bool:
        """Takes the role out of the members who have it; they show it no longer, so nothing moves a revision.

        What they came to see by it is settled first: later, nobody would know that they had it.
        """
        server_id, role_id = task.about["server_id"], task.about["role_id"]
        have_it = {"server_id": server_id, "roles": role_id}
        async with self._store.snapshot() as snapshot:
            pending = await pending_widenings(snapshot, server_id)
            head = await head_within(snapshot, server_scope(server_id))
            members = await snapshot.find("members", have_it, members_at_once(pending))
        if not members:
            return True
        async with self._journal.change(task.origin) as change:
            await settle(change, pending, members)
            these = {"_id": {"$in": [member["_id"] for member in members]}, "roles": role_id}
            change.update_all("members", these, {"$pull": {"roles": role_id}, "$max": {"settled": head.rev}})
        return False

    async def _members(self, task: Task, in_server: Document) -> bool:
        with translated():
            members = await self._store["members"].find(in_server, {"user_id": 1}).limit(_SCOPES).to_list(_SCOPES)
        await self._end(task, in_server, [self_scope(member["user_id"]) for member in members])
        return bool(members)

    async def _end(self, task: Task, in_server: Document, scopes: list[Scope]) -> None:
        """Ends these memberships, all in one transaction; where somebody was quicker, each half for itself.

        Many write to their own scope all the time, if only how far they have read: together they would lose for ever.
        """
        try:
            async with self._journal.change(task.origin, *scopes) as change:
                for scope in scopes:
                    key = {**in_server, "user_id": scope.id}
                    if await change.find_one("members", key, projection={"_id": 1}):
                        change.delete("members", key)
                        change.record(scope, ServerDeleted(server_id=in_server["server_id"], why="deleted"))
        except LostRace:
            if len(scopes) == 1:
                return  # the next batch finds it again
            half = len(scopes) // 2
            await self._end(task, in_server, scopes[:half])
            await self._end(task, in_server, scopes[half:])

    async def _channels(self, task: Task, in_server: Document) -> bool:
        ids = await self._ids("channels", in_server, _SCOPES)
        scopes = [channel_scope(channel_id, in_server["server_id"]) for channel_id in ids]
        async with self._journal.change(task.origin, *scopes) as change:
            for scope in scopes:
                if await change.find_one("channels", {"_id": scope.id}, projection={"_id": 1}):
                    close_channel(change, scope)
        return bool(ids)

    async def _ids(self, collection: str, query: Document, limit: int = _DOCUMENTS) -> list[str]:
        with translated():
            found = await self._store[collection].find(query, {"_id": 1}).limit(limit).to_list(limit)
        return [document["_id"] for document in found]
