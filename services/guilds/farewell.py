"""What is left of a deleted account in servers: its memberships end one by one, behind the deletion."""

from __future__ import annotations

from shared.cascade import Task, works_off
from shared.protocol.member import MemberDeleted
from shared.scopes import server_scope
from shared.service import Parts
from shared.store import translated
from shared.telemetry import logger

_LEFT_AT_ONCE = 10


class Farewell:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @works_off("leave_everything")
    async def leave_everything(self, task: Task) -> bool:
        """Nobody deletes their account while they own a server, and a deleted one can't join."""
        user_id = task.about["user_id"]
        with translated():
            members = (
                await self._store["members"].find({"user_id": user_id}).limit(_LEFT_AT_ONCE).to_list(_LEFT_AT_ONCE)
            )
        for member in members:
            await self._leave(task, member["server_id"], user_id)
        return not members

    async def _leave(self, task: Task, server_id: str, user_id: str) -> None:
        scope, key = server_scope(server_id), {"server_id": server_id, "user_id": user_id}
        async with self._journal.change(task.origin, scope) as change:
            if await change.find_one("members", key) is None:
                return
            change.delete("members", key)
            if await change.find_one("servers", {"_id": server_id}) is None:
                logger().warning("member_of_no_server", server=server_id, user=user_id)
                return
            gone = {"$inc": {"num_members": -1}, "$set": {"perm_rev": change.rev(scope)}}
            change.update("servers", {"_id": server_id}, gone)
            change.record(scope, MemberDeleted(user_id=user_id))
