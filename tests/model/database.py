"""MongoDB as far as the journal relies on it: snapshot transactions, unique indexes, write conflicts, majorities.

Modelled: a transaction sees one snapshot and its own writes; the first to write a key keeps it until it ends, any
other meets a write conflict; what is committed is durable and seen by every later read at once (the state kept here
is what a majority has). A commit may be refused, be lost with the primary, or happen without an answer; a dead
process's transaction keeps its keys until it expires. A commit that does not ask for a majority is answered before
there is one, and may be lost after that.

Not modelled: how the members agree, oplog, sessions, causal consistency, query planning, sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import IndexModel
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from tests.model.loop import EPOCH
from tests.model.world import World

Document = dict[str, Any]
Key = tuple[Any, ...]
State = Mapping[str, Mapping[Key, Document]]

_LIFETIME = 1.5
"""Seconds after which an open transaction is aborted (`transactionLifetimeLimitSeconds`)."""


class Transaction:
    """The server's side of a transaction."""

    def __init__(self, snapshot: State, version: int) -> None:
        self.snapshot = snapshot
        self.version = version
        """How many commits it sees."""
        self.status = "open"
        self.writes: dict[tuple[str, Key], Document | None] = {}


class Database:
    """`on_commit` is called with each transaction whose commit a majority has, before anyone can read it.

    `on_update` is called with what is updated outside of any.
    """

    def __init__(self, world: World, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
        self._world = world
        self._unique = {name: key for name, models in indexes.items() if (key := _unique_key(models))}
        self._state: dict[str, dict[Key, Document]] = {}
        self._past: list[tuple[float, State]] = []
        self._locks: dict[tuple[str, Key], Transaction] = {}
        self._ids = 0
        self.version = 0
        self.unreachable_until = 0.0
        self.on_commit: Callable[[Transaction], None] = lambda _transaction: None
        self.on_update: Callable[[str, Document], None] = lambda _collection, _document: None

    # Reading.

    @property
    def state(self) -> State:
        return self._state

    def read(self, collection: str, filter_: Mapping[str, Any], state: State | None = None) -> list[Document]:
        documents = (self._state if state is None else state).get(collection, {})
        return [document for document in documents.values() if _matches(document, filter_)]

    def head(self, scope: str, state: State | None = None) -> Document | None:
        entries = self.read("journal", {"scope": scope}, state)
        return max(entries, key=lambda entry: int(entry["rev"]), default=None)

    def stale(self, lag: float) -> State:
        """What stood so long ago: as a primary shows it that does not know yet that it was replaced."""
        at = self._world.now - lag
        return next((state for time, state in reversed(self._past) if time <= at), self._past[0][1])

    # Transactions.

    def begin(self) -> Transaction:
        transaction = Transaction(self._state, self.version)
        self._world.after(_LIFETIME, lambda: self.end(transaction, "aborted"))
        return transaction

    def end(self, transaction: Transaction, status: str) -> None:
        if transaction.status == "open":
            transaction.status = status
            for place in transaction.writes:
                self._locks.pop(place, None)

    def view(self, transaction: Transaction) -> State:
        """The snapshot, and over it what the transaction has written itself."""
        view: dict[str, dict[Key, Document]] = {name: dict(kept) for name, kept in transaction.snapshot.items()}
        _apply(view, transaction.writes)
        return view

    def insert(self, transaction: Transaction, collection: str, document: Document) -> None:
        place = (collection, self._key(collection, document))
        self._lock(transaction, place)
        if place[1] in transaction.snapshot.get(collection, {}) or transaction.writes.get(place):
            self.end(transaction, "aborted")
            raise BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": f"duplicate key {place}"}]})
        transaction.writes[place] = document

    def update(
        self, transaction: Transaction, collection: str, filter_: Mapping[str, Any], change: Mapping[str, Any] | None
    ) -> int:
        """Changes the first match (deletes it when `change` is None); how many matched."""
        for document in self.read(collection, filter_, self.view(transaction)):
            place = (collection, self._key(collection, document))
            self._lock(transaction, place)
            transaction.writes[place] = None if change is None else _changed(document, change)
            return 1
        return 0

    def commit(self, transaction: Transaction) -> None:
        if transaction.status == "aborted":
            raise labelled(OperationFailure("NoSuchTransaction", 251), "TransientTransactionError")
        if transaction.status == "open":
            self.version += 1
            self.on_commit(transaction)
            self.store(transaction.writes)
            self.end(transaction, "committed")

    def delete(self, collection: str, filter_: Mapping[str, Any]) -> int:
        """All that match, outside of any transaction; how many there were."""
        found = self.read(collection, filter_)
        self.store({(collection, self._key(collection, document)): None for document in found})
        return len(found)

    def update_now(
        self, collection: str, filter_: Mapping[str, Any], change: Mapping[str, Any]
    ) -> list[Document] | None:
        """Outside of any transaction; what the first that matched became, or None while it is written by one."""
        for document in self.read(collection, filter_):
            place = (collection, self._key(collection, document))
            if place in self._locks:
                return None
            changed = _changed(document, change)
            self.store({place: changed})
            self.on_update(collection, changed)
            return [changed]
        return []

    def put(self, collection: str, *documents: Document) -> None:
        """What is there before the run begins."""
        self.store({(collection, self._key(collection, document)): document for document in documents})

    def store(self, writes: Mapping[tuple[str, Key], Document | None]) -> None:
        touched = {collection for collection, _ in writes}
        state = {name: dict(kept) if name in touched else kept for name, kept in self._state.items()}
        _apply(state, writes)
        self._state = state
        self._past.append((self._world.now, state))

    def _lock(self, transaction: Transaction, place: tuple[str, Key]) -> None:
        if transaction.status != "open":
            raise labelled(OperationFailure("NoSuchTransaction", 251), "TransientTransactionError")
        collection, key = place
        holder = self._locks.setdefault(place, transaction)
        now, then = self._state.get(collection, {}).get(key), transaction.snapshot.get(collection, {}).get(key)
        if holder is not transaction or now is not then:
            self.end(transaction, "aborted")
            if holder is transaction:
                self._locks.pop(place, None)
            raise labelled(OperationFailure("WriteConflict", 112), "TransientTransactionError")

    def _key(self, collection: str, document: Document) -> Key:
        """Its unique key; without a unique index, its id."""
        if "_id" not in document:
            self._ids += 1
            document["_id"] = ObjectId(f"{int(EPOCH + self._world.now):08x}{self._ids:016x}")
        return tuple(document[field] for field in self._unique.get(collection, ("_id",)))


def _unique_key(models: Sequence[IndexModel]) -> tuple[str, ...] | None:
    return next((tuple(model.document["key"]) for model in models if model.document.get("unique")), None)


def _apply(state: dict[str, dict[Key, Document]], writes: Mapping[tuple[str, Key], Document | None]) -> None:
    for (collection, key), document in writes.items():
        kept = state.setdefault(collection, {})
        if document is None:
            kept.pop(key, None)
        else:
            kept[key] = document


def _matches(document: Mapping[str, Any], filter_: Mapping[str, Any]) -> bool:
    return all(_fits(document, name, wanted) for name, wanted in filter_.items())


def _fits(document: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "$or":
        return any(_matches(document, each) for each in wanted)
    value = _at(document, name)
    if isinstance(wanted, dict):
        return all(_holds(value, operator, operand) for operator, operand in wanted.items())
    return bool(value == wanted or (isinstance(value, list) and wanted in value))


def _at(document: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for name in path.split("."):
        if isinstance(document, list):
            document = dict(enumerate(document)).get(int(name))
        else:
            document = document.get(name) if document is not None else None
    return document


def _holds(value: Any, operator: str, operand: Any) -> bool:
    match operator:
        case "$gt":
            return bool(value > operand)
        case "$lt":
            return bool(value < operand)
        case "$lte":
            return bool(value <= operand)
        case "$exists":
            return (value is not None) is operand
        case "$in":
            return value in operand
        case _:
            raise ValueError(f"the model's database does not know {operator}: teach it, if production asks it")


def _changed(document: Document, change: Mapping[str, Any]) -> Document:
    assert set(change) <= {"$set", "$inc", "$addToSet", "$pull"}, change
    changed = {name: document[name] + by for name, by in change.get("$inc", {}).items()}
    for name, value in change.get("$addToSet", {}).items():
        changed[name] = [*document[name], *([value] if value not in document[name] else [])]
    for name, value in change.get("$pull", {}).items():
        changed[name] = [each for each in document[name] if each != value]
    return {**document, **change.get("$set", {}), **changed}


def labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)
    return error
