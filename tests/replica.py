"""One more replica of the services, inside the test: its handlers are called directly, and its commits can be held up.

Two requests that meet by chance meet as a test wants them to: one of them has read everything and is about to commit
while the other, which a process of the system serves, is done. Nothing of the replica is made up: it has connections
of its own to the system's mongod and nats-server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shared.bus import Bus
from shared.epoch import Epoch
from shared.journal import Journal, Origin
from shared.journal.change import Staged
from shared.rights import Rights
from shared.service import Call, Parts
from shared.settings import Settings
from shared.store import Store, Transaction
from tests.rig import System

Meanwhile = Callable[[Staged], Awaitable[None]]


class Interrupted(Journal):
    """Before each commit, when all is read and judged, something else happens: what a test says, if anything."""

    meanwhile: Meanwhile | None = None

    async def _commit(self, transaction: Transaction, staged: Staged) -> None:
        if self.meanwhile is not None:
            await self.meanwhile(staged)
        await super()._commit(transaction, staged)


class Replica:
    def __init__(self, system: System) -> None:
        settings = Settings(
            name="replica", mongo_url=system.mongod.url, mongo_db=system.database, nats_url=system.nats.url
        )
        store, bus = Store(settings), Bus(settings, "guilds")
        epoch = Epoch(store)
        self.journal = Interrupted(store, bus, settings, "guilds", epoch)
        self.parts = Parts(settings, store, bus, self.journal, Rights(store, 10), epoch)

    def once(self, happens: Callable[[], Awaitable[object]]) -> None:
        """Lets this happen before the next commit, and only before that."""

        async def meanwhile(_staged: Staged) -> None:
            self.journal.meanwhile = None
            await happens()

        self.journal.meanwhile = meanwhile

    def always(self, meanwhile: Meanwhile) -> None:
        self.journal.meanwhile = meanwhile


@asynccontextmanager
async def replica(system: System) -> AsyncIterator[Replica]:
    made = Replica(system)
    await made.parts.epoch.read()
    await made.parts.bus.connect()
    try:
        yield made
    finally:
        await asyncio.wait_for(made.journal.settle(), 5)
        await made.parts.bus.close()
        made.parts.store.close()


def call(user_id: str) -> Call:
    return Call(user_id, "", Origin({"user": user_id}, time.monotonic() + 20))
