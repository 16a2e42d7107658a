"""Clears, in small batches, the reactions of deleted messages. One replica at a time, by a lease."""

from __future__ import annotations

import asyncio
import random

from shared.errors import LostRace, Unavailable
from shared.service import Parts
from shared.store import Document, translated
from shared.telemetry import logger

_EVERY = 1.0
_LEASE_MS = 10_000
_NOTES = 50
_ROWS = 500


class Clearing:
    """What is left half done is found again: a message's note goes last."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._holder = parts.settings.name

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - not all replicas at once
            try:
                await self.clear()
            except (Unavailable, LostRace) as error:
                logger().warning("reactions_not_cleared", error=str(error))

    async def clear(self) -> None:
        with translated():
            notes = await self._store["spent_messages"].find().limit(_NOTES).to_list(_NOTES)
        for note in notes:
            await self._clear_message(note)

    async def _clear_message(self, note: Document) -> None:
        message = {"channel_id": note["channel_id"], "message_id": note["message_id"]}
        while await self._store.take_lease("clearing", self._holder, _LEASE_MS):
            with translated():
                rows = await self._store["reactions"].find(message, {"_id": 1}).limit(_ROWS).to_list(_ROWS)
                if not rows:
                    await self._store["spent_messages"].delete_one({"_id": note["_id"]})
                    return
                await self._store["reactions"].delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
