"""Cascades: what a change leaves behind to be done, in batches, by whichever replica is there.

To delete an account or a server is one small transaction, which everybody sees at once; what hangs off it may be
thousands of documents and entries. The transaction notes that in `cascades`, under the service that is to do it:

    change.insert("cascades", cascade("guilds", "leave_everything", user_id=user_id))

    @works_off("leave_everything")
    async def leave_everything(self, task: Task) -> bool:
        # Leaves some of the servers; returns True when none is left.
        ...

One replica works, by a lease. Leases can overlap and replicas die anywhere, so a batch must be right when run twice or
beside itself: it reads what is left, and changes it through the journal.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shared.errors import LostRace, Unavailable
from shared.ids import new_id
from shared.journal import Origin
from shared.store import Document, Filter, Store, translated
from shared.telemetry import CASCADES, logger

_EVERY = 0.5
_LEASE_MS = 5_000
_AT_A_TIME = 20
_BATCH_WITHIN = 10.0
_PAUSE_AFTER_RACE = 0.05
_PAUSE_FIRST, _PAUSE_MOST = 1.0, 60.0


@dataclass(slots=True)
class Task:
    """One run of a batch: what it is about, and the origin of its changes.

    `reached` is as the batch before left it: how far that came, where what is left can't be told from what is done.
    """

    about: Mapping[str, Any]
    origin: Origin
    reached: str | None = None


Batch = Callable[[Task], Awaitable[bool]]
"""Does a part of what is left; True when nothing is left."""

M = TypeVar("M", bound=Callable[..., Awaitable[bool]])


def cascade(service: str, kind: str, **about: Any) -> Document:
    """The document that a change inserts into `cascades`."""
    return {"_id": new_id(), "service": service, "kind": kind, "about": about, "due": _now(), "failures": 0}


def works_off(kind: str) -> Callable[[M], M]:
    """Binds a method to the cascades that it works off."""

    def bind_to(batch: M) -> M:
        batch.__dict__["works_off"] = kind
        return batch

    return bind_to


def batches_of(owners: Sequence[object]) -> dict[str, Batch]:
    """The batches of these objects by kind; raises when one kind has two."""
    found: dict[str, Batch] = {}
    for owner in owners:
        for attribute in vars(type(owner)).values():
            kind = getattr(attribute, "__dict__", {}).get("works_off")
            if kind is None:
                continue
            if kind in found:
                raise RuntimeError(f"two would work off {kind}")
            found[kind] = attribute.__get__(owner)
    return found


class Cascades:
    """Works off what its service has left to do. A kind it does not know waits for a replica that does."""

    def __init__(self, store: Store, service: str, holder: str, batches: Mapping[str, Batch]) -> None:
        self._store = store
        self._service = service
        self._holder = holder
        self._batches = batches

    async def run(self) -> None:
        if not self._batches:
            return
        while True:
            await asyncio.sleep(_EVERY)
            try:
                while await self._store.take_lease(f"cascades:{self._service}", self._holder, _LEASE_MS):
                    if not await self.work():
                        break
            except (Unavailable, LostRace) as error:
                logger().warning("cascades_not_worked_off", error=str(error))

    async def work(self) -> bool:
        """One batch of each cascade that is due, so that a long one holds up no short one; False when none is due."""
        due: Filter = {"service": self._service, "kind": {"$in": list(self._batches)}, "due": {"$lte": _now()}}
        with translated():
            found = await self._store["cascades"].find(due).sort("due", 1).limit(_AT_A_TIME).to_list(_AT_A_TIME)
        for document in found:
            await self._run_batch(document)
        return bool(found)

    async def _run_batch(self, document: Document) -> None:
        kind = document["kind"]
        origin = Origin({"cascade": document["_id"]}, time.monotonic() + _BATCH_WITHIN)
        try:
            task = Task(document["about"], origin, document.get("reached"))
            if await self._batches[kind](task):
                outcome = "done"
                with translated():
                    await self._store["cascades"].delete_one({"_id": document["_id"]})
            else:
                outcome = "more"
                await self._stand_last({**document, "reached": task.reached})
        except LostRace:
            outcome = "lost_race"
            await self._stand_last(document)
            await asyncio.sleep(random.uniform(0, _PAUSE_AFTER_RACE))  # noqa: S311
        except Exception as error:  # noqa: BLE001 - one that fails is put off, and must not stop the others
            outcome = "failed"
            logger().error("cascade_failed", kind=kind, cascade=document["_id"], exc_info=error)
            await self._put_off(document)
        CASCADES.labels(kind=kind, outcome=outcome).inc()

    async def _stand_last(self, document: Document) -> None:
        """Behind all others that are due: so that each has its turn, however many there are."""
        with translated():
            later = {"$set": {"due": _now(), "reached": document.get("reached")}}
            await self._store["cascades"].update_one({"_id": document["_id"]}, later)

    async def _put_off(self, document: Document) -> None:
        pause = min(_PAUSE_FIRST * 2 ** document["failures"], _PAUSE_MOST)
        later = {"$set": {"due": _now() + timedelta(seconds=pause)}, "$inc": {"failures": 1}}
        with translated():
            await self._store["cascades"].update_one({"_id": document["_id"]}, later)


def _now() -> datetime:
    return datetime.now(UTC)
