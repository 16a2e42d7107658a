"""Republishes what a writer committed but did not publish: it died, or lost NATS, between the two.

One replica per service sweeps, by a lease on MongoDB's clock. Two at once would only double hints.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from shared.errors import LostRace, Unavailable
from shared.journal.entry import Entry, from_document
from shared.journal.publisher import Publisher
from shared.store import Store, translated
from shared.telemetry import REPUBLISHED, logger

_EVERY = 0.5
_LEASE_MS = 1500
_BATCH = 200


class Sweeper:
    """Age is judged by how long this process has seen a document, never by comparing clocks."""

    def __init__(self, store: Store, publisher: Publisher, service: str, holder: str, grace: float) -> None:
        self._store = store
        self._publisher = publisher
        self._service = service
        self._holder = holder
        self._grace = grace
        self._seen: dict[Any, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if await self._store.take_lease(f"sweeper:{self._service}", self._holder, _LEASE_MS):
                    await self.sweep()
                else:
                    self._seen.clear()
            except (Unavailable, LostRace) as error:
                logger().warning("sweep_failed", error=str(error))

    async def sweep(self) -> None:
        """One round: republishes and clears the documents first seen at least the grace ago."""
        now = time.monotonic()
        with translated():
            documents = await self._store["outbox"].find({"service": self._service}).limit(_BATCH).to_list(_BATCH)
        self._seen = {document["_id"]: self._seen.get(document["_id"], now) for document in documents}
        for document in documents:
            if now - self._seen[document["_id"]] < self._grace:
                continue
            entries = await self._entries(document)
            if await self._publisher.publish(self._publisher.hints(entries)):
                REPUBLISHED.inc(len(entries))
                self._publisher.settle(document["_id"])

    async def _entries(self, document: dict[str, Any]) -> list[Entry]:
        wanted = [{"scope": scope, "rev": rev} for scope, rev in document["entries"]]
        with translated():
            found = await self._store["journal"].find({"$or": wanted}).to_list(len(wanted))
        return [entry for entry in map(from_document, found) if isinstance(entry, Entry)]
