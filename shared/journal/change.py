"""What is to be committed: a `Change` gathers it around reads of its own; an `Append` says it in advance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.journal.entry import Entry, Head, Lookup, Origin, recorded
from shared.protocol.contract import Audience, Event
from shared.scopes import Scope
from shared.store import Document, Filter, Transaction
from shared.writes import Delete, DeleteAll, Insert, Update, UpdateAll, Write

R = TypeVar("R", bound=BaseModel)


class Change:
    """One transaction over whole scopes: read through it, check, then record events and stage writes.

    Writes are staged, not executed: the journal's insert must be the transaction's first statement, so reads
    never see them.
    """

    def __init__(self, transaction: Transaction, heads: Mapping[Scope, Head], origin: Origin) -> None:
        self._transaction = transaction
        self._heads = heads
        self._origin = origin
        self._events: dict[Scope, list[dict[str, Any]]] = {}
        self._last_ids = {scope: head.last_id for scope, head in heads.items()}
        self.writes: list[Write] = []
        self.outcome: BaseModel | None = None
        self.now = datetime.now(UTC).replace(microsecond=0)

    def head(self, scope: Scope) -> Head:
        return self._heads[scope]

    def rev(self, scope: Scope) -> int:
        """The revision that this change will have in `scope`."""
        return self._heads[scope].rev + 1

    async def find_one(self, collection: str, filter_: Filter, **options: Any) -> Document | None:
        return await self._transaction.find_one(collection, filter_, **options)

    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]:
        return await self._transaction.find(collection, filter_, limit, **options)

    async def aggregate(self, collection: str, stages: list[Document], limit: int) -> list[Document]:
        return await self._transaction.aggregate(collection, stages, limit)

    def record(
        self,
        scope: Scope,
        *events: Event,
        own: Mapping[str, Any] | None = None,
        audience: Audience | None = None,
    ) -> None:
        """Adds to the scope's one entry of this change; without events the entry only takes its revision.

        `own` and `audience` are of all these events, as in `Written`.
        """
        if scope not in self._heads:
            raise RuntimeError(f"{scope.name} is not part of this change")
        self._events.setdefault(scope, []).extend(recorded(event, own, audience) for event in events)

    def tell_gateways(self, scope: Scope, name: str, **params: Any) -> None:
        """Adds an event that no client is told of: what a gateway must know before anything later in the scope."""
        self._events.setdefault(scope, []).append({"name": name, "params": params, "to": "gateways"})

    def follow(self, scope: Scope, write: Callable[[Head], Written[R]]) -> R:
        """Adds what an append to the scope would write, and returns its outcome."""
        written = write(self._heads[scope])
        self._events.setdefault(scope, []).append(recorded(written.event, written.own, written.audience))
        self._last_ids[scope] = written.last_id
        self.writes.extend(written.writes)
        return written.outcome

    def insert(self, collection: str, document: Document) -> None:
        self.writes.append(Insert(collection, document))

    def update(self, collection: str, filter_: Filter, update: Document | list[Document]) -> None:
        self.writes.append(Update(collection, filter_, update))

    def update_all(self, collection: str, filter_: Filter, update: Document | list[Document]) -> None:
        """Every document that matches, as the transaction's snapshot has them."""
        self.writes.append(UpdateAll(collection, filter_, update))

    def delete(self, collection: str, filter_: Filter) -> None:
        self.writes.append(Delete(collection, filter_))

    def delete_all(self, collection: str, filter_: Filter) -> None:
        self.writes.append(DeleteAll(collection, filter_))

    def returns(self, outcome: R) -> R:
        """Says what the request answers, so that the same nonce can be answered the same again."""
        self.outcome = outcome
        return outcome

    def entries(self) -> list[Entry]:
        return [
            Entry(scope, self.rev(scope), events, at=self.now, by=self._origin.by, last_id=self._last_ids[scope])
            for scope, events in self._events.items()
        ]


@dataclass(frozen=True, slots=True)
class Written(Generic[R]):
    """What an append writes at the revision it was given.

    `own` is what one user alone is told more; `audience` narrows this one event more than all of its name. `leaves`
    are documents that others may read, as they are from then on; None for one that is gone.
    """

    event: Event
    writes: Sequence[Write]
    outcome: R
    last_id: int
    own: Mapping[str, Any] | None = None
    leaves: Mapping[Lookup, Document | None] = field(default_factory=dict)
    audience: Audience | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """A document, or several, that must still be as judged; where it matches fewer, the append has lost a race."""

    collection: str
    filter: Filter
    documents: int = 1


@dataclass(frozen=True, slots=True)
class Append(Generic[R]):
    """One entry for one scope, whose reads lie behind it.

    `write` is called with the head the entry will follow, perhaps several times, and does no I/O: so that many
    appends can share one transaction. The documents in `reads` are read for it just before, and shown as those before
    it in the transaction leave them: so that many may change the same document together. Where they are not as
    judged, it raises LostRace, which fails it alone.
    """

    scope: Scope
    write: Callable[[Head], Written[R]]
    requires: Sequence[Requirement] = ()
    perm_rev: int = 0
    reads: Sequence[Lookup] = ()


@dataclass(slots=True)
class Staged:
    """All that one transaction commits."""

    entries: list[Entry]
    writes: list[Write]
    requires: list[Requirement] = field(default_factory=list)


def nonce_record(key: str, outcome: BaseModel, days: float) -> Insert:
    """Kept in the same transaction: the unique key is what makes a second commit of the same nonce impossible."""
    at = datetime.now(UTC) + timedelta(days=days)
    return Insert("nonces", {"_id": key, "outcome": outcome.model_dump_json(), "at": at})
