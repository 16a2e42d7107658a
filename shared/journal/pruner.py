"""Removes old entries, so that the journal's size follows what is written, not how long it has been written.

How far back entries are kept is how long a client may be away and still be told only what changed. A scope's last
entry is never removed: it is its revision. One process prunes at a time, by a lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import LostRace, Unavailable
from shared.journal.reader import read_heads
from shared.store import Document, Store, moment_id, translated
from shared.telemetry import PRUNED, logger
from shared.writes import DeleteAll

_BATCH = 200
_LEASE_MS = 60_000


class Pruner:
    def __init__(self, store: Store, holder: str, days: float, interval: float) -> None:
        self._store = store
        self._holder = holder
        self._kept = timedelta(days=days)
        self._interval = interval

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval * random.uniform(0.8, 1.2))  # noqa: S311 - not all processes at once
            try:
                await self.prune()
            except (Unavailable, LostRace) as error:
                logger().warning("prune_failed", error=str(error))

    async def prune(self) -> None:
        """Goes once through all that is old enough, in the order of time, in batches."""
        done: Any = None
        cutoff = moment_id(datetime.now(UTC) - self._kept)
        while await self._store.take_lease("pruner", self._holder, _LEASE_MS):
            # An entry's own id tells when it was written, so that no index is needed for its time.
            old: dict[str, Any] = {"$lt": cutoff} if done is None else {"$lt": cutoff, "$gt": done}
            with translated():
                entries = await (
                    self._store["journal"].find({"_id": old}, {"scope": 1, "rev": 1}).sort("_id", 1).to_list(_BATCH)
                )
            if not entries:
                return
            heads = await read_heads(self._store, sorted({entry["scope"] for entry in entries}))
            spent = [entry for entry in entries if entry["rev"] < heads[entry["scope"]].rev]
            if spent:
                await self._remove(spent)
            done = entries[-1]["_id"]

    async def _remove(self, spent: Sequence[Document]) -> None:
        """Each of them and what came before it in its scope: so what stays is never without its next.

        Writers rely on that. In the order of time alone, by clocks that differ, a later entry could go first.
        """
        last: dict[str, int] = {}
        for entry in spent:
            last[entry["scope"]] = max(entry["rev"], last.get(entry["scope"], 0))
        up_to = [DeleteAll("journal", {"scope": scope, "rev": {"$lte": rev}}) for scope, rev in last.items()]
        PRUNED.inc(await self._store.delete("journal", up_to))
