"""What a deleted channel leaves behind: all that was said in it goes, in batches."""

from __future__ import annotations

from shared.cascade import Task, works_off
from shared.service import Parts
from shared.store import translated

_DOCUMENTS = 500
_OF_A_CHANNEL = ("messages", "reactions", "reads")
"""The collections that hold what belongs to a channel, by its `channel_id`."""


class Remains:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @works_off("channel")
    async def channel(self, task: Task) -> bool:
        in_channel = {"channel_id": task.about["channel_id"]}
        for collection in _OF_A_CHANNEL:
            with translated():
                found = await self._store[collection].find(in_channel, {"_id": 1}).limit(_DOCUMENTS).to_list(_DOCUMENTS)
                if found:
                    ids = [document["_id"] for document in found]
                    await self._store[collection].delete_many({"_id": {"$in": ids}})
                    return False
        return True
