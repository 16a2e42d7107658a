"""The journal: the only way to change anything a client can cache.

A change is one MongoDB transaction that appends to its scopes' journals under their next revisions and writes the
entities. Whoever inserts `(scope, rev)` first has won; the other reads again. After the commit, and only then, the
entries are published as hints. Two ways in: `change` for what reads and checks around its writes, `append` for what
adds one entry to one scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from shared.bus import Bus
from shared.epoch import Epoch
from shared.errors import LostRace, Unavailable
from shared.journal.change import Append, Change, Requirement, Staged, Written, nonce_record
from shared.journal.entry import Entry, Head, Lookup, Origin, recorded
from shared.journal.group import Lane, Waiting
from shared.journal.heads import HeadCache, Turns
from shared.journal.history import HistoryWatch
from shared.journal.pruner import Pruner
from shared.journal.publisher import Publisher
from shared.journal.reader import head_within, look_up, read_heads
from shared.journal.sweeper import Sweeper
from shared.scopes import Scope
from shared.settings import Settings
from shared.store import Document, Store, Transaction, translated
from shared.telemetry import COMMITS, ENTRIES
from shared.writes import Insert

__all__ = ["Append", "Change", "Entry", "Head", "Journal", "Lookup", "Origin", "Requirement", "Written"]

R = TypeVar("R", bound=BaseModel)

_OUTCOME_WITHIN_MS = 2_000
_WATCHED = 200


class Journal:
    """One process's way to commit and publish. `service` names whose outbox it writes and sweeps."""

    def __init__(self, store: Store, bus: Bus, settings: Settings, service: str, epoch: Epoch) -> None:
        self._store = store
        self._epoch = epoch
        self._bus = bus
        self._service = service
        self._nonce_days = settings.nonce_days
        self._heads = HeadCache(settings.head_cache)
        epoch.on_change.append(self._heads.forget_all)
        self._history = HistoryWatch(store, epoch, lambda: self._heads.newest(_WATCHED))
        self._turns = Turns()
        self._others = Lane(self._commit_group)
        self._selves = Lane(self._commit_group)
        self._publisher = Publisher(store, bus, epoch)
        self._pruner = Pruner(store, settings.name, settings.journal_days, settings.prune_interval)
        self._sweeper = Sweeper(store, self._publisher, service, settings.name, settings.outbox_grace)

    async def run(self) -> None:
        """Commits groups, settles, repeats and sweeps until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._others.run())
            group.create_task(self._selves.run())
            group.create_task(self._publisher.run())
            group.create_task(self._sweeper.run())
            group.create_task(self._pruner.run())
            group.create_task(self._epoch.run())
            group.create_task(self._history.run())

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
            if origin.expired:
                raise Unavailable
            await self._commit(transaction, Staged(change.entries(), writes))

    async def append(self, origin: Origin, append: Append[R]) -> R:
        """Commits one entry, together with others, and returns its outcome; raises LostRace like `change`.

        `self` scopes, which several services write, have groups of their own: their lost races hold up nobody else.
        """
        lane = self._selves if append.scope.kind == "self" else self._others
        outcome: R = await lane.append(origin, append)
        return outcome

    async def outcome(self, nonce: str, *, latest: bool = False) -> bytes | None:
        """What the first request with this nonce answered, as JSON.

        `latest` waits for a majority to have all that was written before. A transaction sees what is not yet so far,
        and whoever is refused for it would be told `conflict` by their own first request.
        """
        nonces = self._store.linearizable("nonces") if latest else self._store["nonces"]
        with translated():
            document = await nonces.find_one({"_id": nonce}, max_time_ms=_OUTCOME_WITHIN_MS)
        return document["outcome"].encode() if document else None

    async def _commit_group(self, group: Sequence[Waiting]) -> None:
        """All appends of the group in one transaction; each follows the one before it in its scope."""
        group = await self._first_of_their_nonces(group)
        scopes = list(dict.fromkeys(waiting.append.scope for waiting in group))
        async with self._turns.of(scopes):
            remembered = self._heads.known(scopes)
            read = await read_heads(self._store, [scope.name for scope in scopes if scope not in remembered])
            heads = {scope: remembered.get(scope) or read[scope.name] for scope in scopes}
            documents = await look_up(self._store, [each for waiting in group for each in waiting.append.reads])
            staged, outcomes = self._stage(group, heads, documents)
            staged.requires.extend(_still_there(remembered.values()))
            async with self._store.transaction() as transaction:
                await self._commit(transaction, staged)
        for waiting, outcome in outcomes:
            waiting.succeed(outcome)

    def _stage(
        self, group: Sequence[Waiting], heads: dict[Scope, Head], documents: dict[Lookup, Document | None]
    ) -> tuple[Staged, list[tuple[Waiting, BaseModel]]]:
        """What the group commits, one after the other; whoever finds a document not as judged is told so, alone."""
        staged = Staged([], [])
        outcomes: list[tuple[Waiting, BaseModel]] = []
        for waiting in group:
            append, origin, head = waiting.append, waiting.origin, heads[waiting.append.scope]
            try:
                written = append.write(replace(head, documents=documents))
            except LostRace as error:
                waiting.fail(error)
                continue
            documents.update(written.leaves)
            events = [recorded(written.event, written.own, written.audience)]
            entry = Entry(append.scope, head.rev + 1, events, by=origin.by, last_id=written.last_id)
            heads[append.scope] = Head(entry.rev, written.last_id)
            staged.entries.append(replace(entry, perm_rev=append.perm_rev))
            staged.writes.extend(written.writes)
            if origin.nonce:
                staged.writes.append(nonce_record(origin.nonce, written.outcome, self._nonce_days))
            staged.requires.extend(append.requires)
            outcomes.append((waiting, written.outcome))
        return staged, outcomes

    async def _first_of_their_nonces(self, group: Sequence[Waiting]) -> Sequence[Waiting]:
        """The group without those whose nonce has been used: one of them would fail the others with it."""
        nonces = [waiting.origin.nonce for waiting in group if waiting.origin.nonce]
        used: set[str] = set()
        if len(group) > 1 and nonces:
            with translated():
                found = await self._store["nonces"].find({"_id": {"$in": nonces}}, {"_id": 1}).to_list(len(nonces))
            used = {document["_id"] for document in found}
        for waiting in group:
            if waiting.origin.nonce in used:
                waiting.fail(LostRace())
        return [waiting for waiting in group if not waiting.origin.nonce or waiting.origin.nonce not in used]

    async def _commit(self, transaction: Transaction, staged: Staged) -> None:
        if not staged.entries and not staged.writes:
            return
        hints = self._publisher.hints(staged.entries)
        scopes = [entry.scope for entry in staged.entries]
        # Until the commit is confirmed nothing is known of these heads: whatever fails below, they are read again.
        self._heads.doubt(scopes)
        with COMMITS.time():
            entry_ids = await self._insert_entries(transaction, staged.entries)
            await self._check(transaction, [self._same_history(), *staged.requires])
            await transaction.apply(staged.writes)
            outbox_id = await self._note_in_outbox(transaction, staged.entries)
            await transaction.commit()
        for entry, entry_id in zip(staged.entries, entry_ids, strict=True):
            self._heads.confirmed(entry.scope, Head(entry.rev, entry.last_id, entry_id))
            ENTRIES.labels(kind=entry.scope.kind).inc()
        if hints and await self._publisher.publish(hints):
            self._publisher.settle(outbox_id)

    async def _insert_entries(self, transaction: Transaction, entries: list[Entry]) -> list[Any]:
        """Their ids. The first statement, so that a lost race shows at once."""
        return await transaction.insert("journal", [entry.document() for entry in entries]) if entries else []

    def _same_history(self) -> Requirement:
        """Remembered heads must be of the history that is being written."""
        return Requirement("meta", {"_id": "epoch", "value": self._epoch.value})

    async def _check(self, transaction: Transaction, requires: Sequence[Requirement]) -> None:
        """One query for all requirements; those that differ name different documents."""
        wanted: dict[str, dict[bytes, Requirement]] = {}
        for requirement in requires:
            key = orjson.dumps(requirement.filter, option=orjson.OPT_SORT_KEYS, default=str)
            wanted.setdefault(requirement.collection, {})[key] = requirement
        filters = {name: [each.filter for each in different.values()] for name, different in wanted.items()}
        due = sum(each.documents for different in wanted.values() for each in different.values())
        if await transaction.count(filters) < due:
            raise LostRace

    async def _note_in_outbox(self, transaction: Transaction, entries: list[Entry]) -> object:
        if not entries:
            return None
        document = {"service": self._service, "entries": [[entry.scope.name, entry.rev] for entry in entries]}
        await transaction.apply([Insert("outbox", document)])
        return document["_id"]


def _still_there(remembered: Collection[Head]) -> list[Requirement]:
    """Others may have gone on from a remembered head; once what came next is pruned, its revision is free again.

    The pruner takes a scope's entries from the oldest on: while the head's own is there, so is what came next.
    """
    ids = [head.entry_id for head in remembered]
    return [Requirement("journal", {"_id": {"$in": ids}}, len(ids))] if ids else []
