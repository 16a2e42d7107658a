"""The journal: the only way to change anything a client can cache.

A change is one MongoDB transaction that appends to its scopes' journals under their next revisions and writes the
entities. Whoever inserts `(scope, rev)` first has won; the other reads again. After the commit, and only then, the
entries are published as hints. Two ways in: `change` for what reads and checks around its writes, `append` for what
adds one entry to one scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel

from shared.bus import Bus
from shared.errors import LostRace, Unavailable
from shared.journal.change import Append, Change, Requirement, Staged, Written, nonce_record
from shared.journal.entry import Entry, Head, Origin, recorded
from shared.journal.heads import HeadCache, Turns
from shared.journal.publisher import Publisher
from shared.journal.reader import head_within, read_heads
from shared.journal.sweeper import Sweeper
from shared.scopes import Scope
from shared.settings import Settings
from shared.store import Insert, Store, Transaction, translated
from shared.telemetry import COMMITS, ENTRIES

__all__ = ["Append", "Change", "Entry", "Head", "Journal", "Origin", "Requirement", "Written"]

R = TypeVar("R", bound=BaseModel)


class Journal:
    """One process's way to commit and publish. `service` names whose outbox it writes and sweeps."""

    def __init__(self, store: Store, bus: Bus, settings: Settings, service: str) -> None:
        self._store = store
        self._bus = bus
        self._service = service
        self._nonce_days = settings.nonce_days
        self._heads = HeadCache(settings.head_cache)
        self._turns = Turns()
        self._publisher = Publisher(store, bus)
        self._sweeper = Sweeper(store, self._publisher, service, settings.name, settings.outbox_grace)

    async def run(self) -> None:
        """Settles, repeats and sweeps until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publisher.run())
            group.create_task(self._sweeper.run())

    async def settle(self) -> None:
        """Clears what has been published; the last thing before the process ends."""
        try:
            await self._publisher.settle_all()
        except Unavailable:
            return  # another process's sweeper will

    @asynccontextmanager
    async def change(self, origin: Origin, *scopes: Scope) -> AsyncIterator[Change]:
        """A transaction over `scopes`, committed when the block ends well and has recorded or written something.

        Raises LostRace when another writer was first: the whole handler is then run again.
        """
        async with self._turns.of(scopes), self._store.transaction() as transaction:
            heads = {scope: await head_within(transaction, scope) for scope in scopes}
            change = Change(transaction, heads, origin)
            yield change
            writes = change.writes
            if origin.nonce and change.outcome is not None:
                writes = [*writes, nonce_record(origin.nonce, change.outcome, self._nonce_days)]
            await self._commit(transaction, Staged(change.entries(), writes), origin)

    async def append(self, origin: Origin, append: Append[R]) -> R:
        """Commits one entry and returns its outcome; raises LostRace like `change`."""
        async with self._turns.of([append.scope]):
            head = self._heads.get(append.scope) or await self._read_head(append.scope)
            written = append.write(head)
            entry = Entry(
                append.scope,
                head.rev + 1,
                [recorded(written.event, written.own)],
                by=origin.by,
                last_id=written.last_id,
                perm_rev=append.perm_rev,
            )
            writes = list(written.writes)
            if origin.nonce:
                writes.append(nonce_record(origin.nonce, written.outcome, self._nonce_days))
            async with self._store.transaction() as transaction:
                await self._commit(transaction, Staged([entry], writes, append.requires), origin)
        return written.outcome

    async def outcome(self, nonce: str) -> bytes | None:
        """What the first request with this nonce answered, as JSON."""
        with translated():
            document = await self._store["nonces"].find_one({"_id": nonce})
        return document["outcome"].encode() if document else None

    async def _read_head(self, scope: Scope) -> Head:
        return (await read_heads(self._store, [scope.name]))[scope.name]

    async def _commit(self, transaction: Transaction, staged: Staged, origin: Origin) -> None:
        if not staged.entries and not staged.writes:
            return
        for entry in staged.entries:
            self._bus.guard(entry.hint())
        if origin.expired:
            raise Unavailable
        scopes = [entry.scope for entry in staged.entries]
        # Until the commit is confirmed nothing is known of these heads: whatever fails below, they are read again.
        self._heads.doubt(scopes)
        with COMMITS.time():
            await self._insert_entries(transaction, staged.entries)
            await self._check(transaction, staged.requires)
            await transaction.apply(staged.writes)
            outbox_id = await self._note_in_outbox(transaction, staged.entries)
            await transaction.commit()
        for entry in staged.entries:
            self._heads.confirmed(entry.scope, Head(entry.rev, entry.last_id))
            ENTRIES.labels(kind=entry.scope.kind).inc()
        if staged.entries and await self._publisher.publish(staged.entries):
            self._publisher.settle(outbox_id)

    async def _insert_entries(self, transaction: Transaction, entries: list[Entry]) -> None:
        """The first statement, so that a lost race shows at once."""
        if entries:
            await transaction.insert("journal", [entry.document() for entry in entries])

    async def _check(self, transaction: Transaction, requires: Sequence[Requirement]) -> None:
        for requirement in requires:
            if await transaction.find_one(requirement.collection, requirement.filter, projection={"_id": 1}) is None:
                raise LostRace

    async def _note_in_outbox(self, transaction: Transaction, entries: list[Entry]) -> object:
        if not entries:
            return None
        document = {"service": self._service, "entries": [[entry.scope.name, entry.rev] for entry in entries]}
        await transaction.apply([Insert("outbox", document)])
        return document["_id"]
