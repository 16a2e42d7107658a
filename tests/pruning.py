"""A journal that reaches no further back than now."""

from __future__ import annotations

from shared.journal.pruner import Pruner
from shared.settings import Settings
from shared.store import Store
from tests.rig import System


async def prune(system: System) -> None:
    """Production's own pruner, for which all that was written up to now is old."""
    store = Store(Settings(mongo_url=system.mongod.url, mongo_db=system.database))
    try:
        for _ in range(2):  # a lease that nobody ever held is only made free the first time
            await Pruner(store, "test", days=-1, interval=1).prune()
    finally:
        store.close()
