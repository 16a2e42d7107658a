"""The epoch: one value that names the history of a database. After a restore it is another one.

Whoever sees it change forgets all that it remembers of the history before. What a restore does:
`db.meta.updateOne({_id: "epoch"}, {$set: {value: <anything new>}})`, before the first process starts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.errors import LostRace, Unavailable
from shared.store import Store
from shared.telemetry import logger

_POLL = 2.0


class Epoch:
    """The epoch as this process last read it; empty until the first read. `on_change` forgets."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.value = ""
        self.on_change: list[Callable[[], None]] = []

    async def read(self) -> str:
        value = await self._store.epoch()
        if self.value and value != self.value:
            logger().error("epoch_changed", before=self.value, now=value)
            self.value = value
            for forget in self.on_change:
                forget()
        self.value = value
        return value

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            try:
                await self.read()
            except (Unavailable, LostRace) as error:
                logger().warning("epoch_not_read", error=str(error))
