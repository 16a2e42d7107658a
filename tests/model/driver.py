"""The MongoDB driver as one process has it, on the simulated server.

It has the methods of PyMongo's that production's Store, Journal and sweeper call, with their names and arguments.
Every operation is a round trip on which it, or its answer, may be lost; then the driver's own errors are raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from pymongo import DeleteMany, DeleteOne, InsertOne, ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import AutoReconnect
from pymongo.results import BulkWriteResult, InsertManyResult

from tests.model.database import Database, Document, Transaction, labelled
from tests.model.world import World

T = TypeVar("T")


class Driver:
    """Stands in for the client, and for its database object."""

    def __init__(self, world: World, database: Database, name: str) -> None:
        self.world = world
        self._database = database
        self._name = name

    def __getitem__(self, collection: str) -> Collection:
        return (Leases if collection == "leases" else Collection)(self, self._database, collection)

    async def start_session(self, **_: Any) -> Session:
        return Session(self, self._database)

    async def call(self, what: str, work: Callable[[], T]) -> T:
        """Runs `work` at the server. Raises what it raises, or AutoReconnect when something was lost on the way."""
        world, key = self.world, f"{self._name}:mongod"
        unsent = world.now < self._database.unreachable_until or world.fault(key, "database_errors")
        unanswered = world.fault(key, "database_errors")

        def arrive() -> T:
            if unsent:
                world.note(self._name, f"{what}: not sent")
                raise AutoReconnect("connection closed")
            result = work()
            if unanswered:
                world.note(self._name, f"{what}: no answer")
                raise AutoReconnect("connection closed")
            return result

        await world.step(self._name)
        result = await world.round_trip(key, arrive)
        await world.step(self._name)
        return result


class Session:
    """A session, with the transaction it has open."""

    def __init__(self, driver: Driver, database: Database) -> None:
        self._driver = driver
        self._database = database
        self._transaction: Transaction | None = None
        self._majority = True
        self.in_transaction = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.in_transaction:
            await self.abort_transaction()

    def start_transaction(self, *, write_concern: WriteConcern, **_: Any) -> None:
        self._majority = write_concern.document.get("w") == "majority"
        self._transaction = None
        self.in_transaction = True

    def now(self) -> Transaction:
        """The transaction; its snapshot is taken by its first operation."""
        if self._transaction is None:
            self._transaction = self._database.begin()
        return self._transaction

    async def abort_transaction(self) -> None:
        self.in_transaction = False
        if (transaction := self._transaction) is not None:
            await self._driver.call("abort", lambda: self._database.end(transaction, "aborted"))

    async def commit_transaction(self) -> None:
        """May be called again, and then asks for the outcome of the first."""
        self.in_transaction = False
        transaction = self._transaction
        if transaction is None:
            return
        world = self._driver.world

        def commit() -> None:
            self._commit(transaction)
            if world.fault("mongod", "commits_unanswered"):
                world.note("mongod", "commits, and its answer is lost")
                raise AutoReconnect("connection closed")

        try:
            await self._driver.call("commit", commit)
        except AutoReconnect as error:
            raise labelled(error, "UnknownTransactionCommitResult") from None

    def _commit(self, transaction: Transaction) -> None:
        world = self._driver.world
        if self._majority:
            if transaction.status == "open" and world.fault("mongod", "commits_lost"):
                world.note("mongod", "the primary dies with a commit")
                self._database.end(transaction, "aborted")
                raise AutoReconnect("connection closed")
            self._database.commit(transaction)
        elif transaction.status == "open" and world.fault("mongod", "commits_lost"):
            world.note("mongod", "the primary dies with a commit that was answered")
            self._database.end(transaction, "aborted")
        else:
            world.after(world.delay("mongod"), lambda: self._database.commit(transaction))


class Cursor:
    def __init__(self, driver: Driver, read: Callable[[], list[Document]]) -> None:
        self._driver = driver
        self._read = read
        self._limit = 0

    def sort(self, name: str, direction: int) -> Cursor:
        read = self._read
        self._read = lambda: sorted(read(), key=lambda document: document[name], reverse=direction < 0)
        return self

    def limit(self, most: int) -> Cursor:
        self._limit = most
        return self

    async def to_list(self, length: int | None = None) -> list[Document]:
        return await self._driver.call("find", lambda: self._read()[: self._limit or length or None])


class _Result:
    def __init__(self, matched_count: int) -> None:
        self.matched_count = matched_count
        self.upserted_count = 0  # within a transaction they are not modelled


class Collection:
    def __init__(self, driver: Driver, database: Database, name: str) -> None:
        self._driver = driver
        self._database = database
        self._name = name

    def find(
        self,
        filter_: Mapping[str, Any],
        projection: object = None,  # noqa: ARG002 - the whole document holds what was asked for
        *,
        session: Session | None = None,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> Cursor:
        def read() -> list[Document]:
            state = self._database.view(session.now()) if session is not None else None
            found = self._database.read(self._name, filter_, state)
            for name, direction in sort:
                found.sort(key=lambda document: document[name], reverse=direction < 0)
            return found

        return Cursor(self._driver, read).limit(limit)

    async def find_one(self, filter_: Mapping[str, Any], projection: object = None, **options: Any) -> Document | None:
        found = await self.find(filter_, projection, limit=1, **options).to_list()
        return found[0] if found else None

    def aggregate(self, stages: Sequence[Mapping[str, Any]], *, session: Session | None = None) -> Cursor:
        """The two pipelines there are: of a transaction the one that counts, else that of the heads of many scopes."""
        return self._heads(stages) if session is None else self._count(stages, session)

    def _heads(self, stages: Sequence[Mapping[str, Any]]) -> Cursor:
        names = [each["scope"] for each in stages[1]["$project"]["given"]["$literal"]]

        def heads() -> list[Document]:
            found = ((name, self._database.head(name)) for name in names)
            return [{"scope": name, "head": [head] if head else []} for name, head in found]

        return Cursor(self._driver, heads)

    def _count(self, stages: Sequence[Mapping[str, Any]], session: Session) -> Cursor:
        """How many match, here and in those that are looked up."""
        match, _group, *lookups = stages

        def count() -> list[Document]:
            state = self._database.view(session.now())
            found = self._database.read(self._name, match["$match"], state)
            looked_up = {}
            for lookup in (stage["$lookup"] for stage in lookups):
                wanted = lookup["pipeline"][0]["$match"]
                looked_up[lookup["as"]] = self._database.read(lookup["from"], wanted, state)
            return [{"count": len(found), **looked_up}] if found else []

        return Cursor(self._driver, count)

    async def insert_many(self, documents: Sequence[Document], *, session: Session) -> InsertManyResult:
        def insert() -> InsertManyResult:
            for document in documents:
                self._database.insert(session.now(), self._name, document)
            return InsertManyResult([document["_id"] for document in documents], acknowledged=True)

        return await self._driver.call(f"insert into {self._name}", insert)

    async def bulk_write(
        self, batch: Sequence[Any], *, ordered: bool, session: Session | None = None
    ) -> _Result | BulkWriteResult:
        """Of a transaction, in order; or deletions outside of any, in none."""
        assert ordered is (session is not None)
        if session is None:
            return await self._delete_each(batch)

        def write() -> _Result:
            return _Result(sum(self._write(session.now(), each) for each in batch))

        return await self._driver.call(f"write {self._name}", write)

    def _write(self, transaction: Transaction, write: InsertOne[Document] | UpdateOne | DeleteOne) -> int:
        """How many documents an update matched; 0 for what is no update."""
        match write:
            case InsertOne():
                self._database.insert(transaction, self._name, write._doc)
                return 0
            case UpdateOne():
                assert not write._upsert, "an upsert within a transaction is not modelled"
                return self._database.update(transaction, self._name, write._filter, _single(write._doc))
            case _:
                self._database.update(transaction, self._name, write._filter, None)
                return 0

    async def insert_one(self, document: Document) -> None:
        await self._driver.call(f"insert into {self._name}", lambda: self._database.put(self._name, document))

    async def update_one(self, filter_: Mapping[str, Any], update: Any, *, upsert: bool = False) -> _Result:
        assert not upsert, "an upsert is not modelled"
        return _Result(len(await self._update(filter_, update)))

    async def find_one_and_update(
        self,
        filter_: Mapping[str, Any],
        update: Any,
        projection: object = None,  # noqa: ARG002 - the whole document holds what was asked for
        *,
        return_document: bool,
    ) -> Document | None:
        assert return_document is ReturnDocument.AFTER, "what was before is not modelled"
        return next(iter(await self._update(filter_, update)), None)

    async def _update(self, filter_: Mapping[str, Any], update: Any) -> list[Document]:
        """What the first that matches becomes."""
        change = partial(self._database.update_now, self._name, filter_, _single(update))
        while (changed := await self._driver.call(f"update {self._name}", change)) is None:  # noqa: ASYNC110 - as mongod
            await asyncio.sleep(0.005)
        return changed

    async def delete_one(self, filter_: Mapping[str, Any]) -> None:
        await self.delete_many(filter_)

    async def delete_many(self, filter_: Mapping[str, Any]) -> None:
        await self._driver.call(f"delete from {self._name}", lambda: self._database.delete(self._name, filter_))

    async def _delete_each(self, batch: Sequence[DeleteMany]) -> BulkWriteResult:
        """Each by itself: who reads meanwhile may see some done and others not."""
        deleted = 0
        for each in batch:
            deleted += await self._driver.call(
                f"prune {each._filter}", partial(self._database.delete, self._name, each._filter)
            )
        return BulkWriteResult({"nRemoved": deleted}, acknowledged=True)


class Leases(Collection):
    """The one collection whose updates compare clocks: MongoDB's own."""

    async def update_one(self, filter_: Mapping[str, Any], update: Any, *, upsert: bool = False) -> _Result:
        if upsert:
            return _Result(1)
        values = update[0]["$set"]
        holder, lasts_ms = values["holder"], values["until"]["$add"][1]
        return await self._driver.call("lease", lambda: self._take(filter_["_id"], holder, lasts_ms / 1000))

    def _take(self, name: str, holder: str, lasts: float) -> _Result:
        now = self._driver.world.now
        lease = next(iter(self._database.read(self._name, {"_id": name})), None)
        if lease is not None and lease["until"] >= now and lease["holder"] != holder:
            return _Result(0)
        self._database.put(self._name, {"_id": name, "holder": holder, "until": now + lasts})
        return _Result(1)


def _single(update: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    assert isinstance(update, Mapping), "a pipeline as an update is not modelled"
    return update
