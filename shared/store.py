"""MongoDB, and the only module that knows its driver, beside the list of `indexes`.

Reads are of majority-committed data; transactions read one snapshot and commit to a journalled majority.
Driver errors leave here as what they mean: `LostRace`, `OutcomeUnknown` or `Unavailable`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReadPreference,
    ReturnDocument,
    UpdateOne,
    WriteConcern,
)
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError, WriteConcernError
from pymongo.read_concern import ReadConcern

from shared.errors import LostRace, Misconfigured, Unavailable
from shared.ids import new_epoch
from shared.indexes import INDEXES
from shared.ownership import EVERY
from shared.settings import Settings
from shared.telemetry import logger
from shared.writes import Delete, DeleteAll, Insert, Update, UpdateAll, Upsert, Write

Document = dict[str, Any]
Filter = dict[str, Any]

MAJORITY: Final = WriteConcern("majority", j=True)
_COMMIT_PATIENCE = 10.0
_BEGIN_AGAIN = {
    11000,  # DuplicateKey: whoever wrote the key has committed, and the handler's own checks will see it
    112,  # WriteConflict
    251,  # NoSuchTransaction
    225,  # TransactionTooOld
    290,  # TransactionExceededLifetimeLimitSeconds
    246,  # SnapshotUnavailable
    239,  # SnapshotTooOld
}
_DOWN_OR_SLOW = {
    43,  # CursorNotFound
    262,  # ExceededTimeLimit
    14031,  # OutOfDiskSpace
    # A member that goes away, or is no primary any more. The driver knows these as replies, but not all of them in
    # what is said of a write that was made and is not durable yet.
    *(6, 7, 89, 91, 134, 189, 9001, 10058, 10107, 11600, 11602, 13435, 13436),
}
_HOPELESS = {
    18: "MongoDB refuses the user or the password in MONGO_URL: correct them, or make that user",
    13: "MONGO_URL names no user, or one that lacks rights: give it the role of `python -m deploy.mongo.roles`",
}
_WRONG_CERTIFICATE = "MongoDB's certificate was not signed by MONGO_CA_FILE for the host in MONGO_URL: correct either"


class OutcomeUnknown(Unavailable):
    """A commit was sent and no answer could be had: it may or may not have happened."""


def failure(error: BaseException) -> Exception | None:
    """What a driver error means to the code above, or None when it is no driver error."""
    if not isinstance(error, PyMongoError):
        return None
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return Unavailable()
    code = _code_of(error)
    if code in _BEGIN_AGAIN or error.has_error_label("TransientTransactionError"):
        return LostRace()
    return Unavailable() if code in _DOWN_OR_SLOW else None


def _hopeless(error: PyMongoError) -> str:
    """What to do about an error that doesn't go away by itself; nothing for any other."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _WRONG_CERTIFICATE
    return _HOPELESS.get(_code_of(error) or 0, "")


def _code_of(error: PyMongoError) -> int | None:
    """The server's code; of a bulk write that of its first failure."""
    if isinstance(error, OperationFailure):
        first = (error.details or {}).get("writeErrors") or [error.details or {}]
        code: int | None = first[0].get("code", error.code)
        return code
    return None


def _operation(write: Insert | Update | Upsert | Delete) -> InsertOne[Document] | UpdateOne | DeleteOne:
    match write:
        case Insert(document=document):
            return InsertOne(document)
        case Update(filter=filter_, update=update):
            return UpdateOne(filter_, update)
        case Upsert(filter=filter_, update=update):
            return UpdateOne(filter_, update, upsert=True)
        case Delete(filter=filter_):
            return DeleteOne(filter_)


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        meaning = failure(error)
        if meaning is None:
            raise
        raise meaning from error


def moment_id(moment: datetime) -> Any:
    """An id below which lie the documents made before a moment, where their ids are made by the driver."""
    return ObjectId.from_datetime(moment)


class Snapshot:
    """Reads that all see the same majority-committed moment."""

    def __init__(self, store: Store, session: AsyncIOMotorClientSession) -> None:
        self._store = store
        self._session = session

    async def find_one(self, collection: str, filter_: Filter, **options: Any) -> Document | None:
        with translated():
            document: Document | None = await self._store[collection].find_one(
                filter_, session=self._session, **options
            )
        return document

    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]:
        with translated():
            cursor = self._store[collection].find(filter_, session=self._session, limit=limit, **options)
            documents: list[Document] = await cursor.to_list(limit)
        return documents

    async def aggregate(self, collection: str, stages: list[Document], limit: int) -> list[Document]:
        with translated():
            cursor = self._store[collection].aggregate(stages, session=self._session)
            documents: list[Document] = await cursor.to_list(limit)
        return documents

    async def count(self, wanted: Mapping[str, Sequence[Filter]]) -> int:
        """How many documents match any of their collection's filters, of all collections; 0 if none of the first.

        One round trip, which is what a statement of a transaction costs. (`$unionWith` may not be used in one.)
        """
        (first, filters), *others = wanted.items()
        stages: list[Document] = [{"$match": {"$or": [*filters]}}, {"$group": {"_id": None, "count": {"$sum": 1}}}]
        for collection, each in others:
            ids: list[Document] = [{"$match": {"$or": [*each]}}, {"$project": {"_id": 1}}]
            stages.append({"$lookup": {"from": collection, "pipeline": ids, "as": f"in_{collection}"}})
        found = await self.aggregate(first, stages, 1)
        return sum(each["count"] + sum(len(each[f"in_{name}"]) for name, _ in others) for each in found)


class Transaction(Snapshot):
    """One MongoDB transaction: reads of one snapshot, then writes, then `commit`."""

    async def insert(self, collection: str, documents: Sequence[Document]) -> list[Any]:
        """Returns their ids."""
        with translated():
            inserted = await self._store[collection].insert_many(documents, session=self._session)
        return inserted.inserted_ids

    async def apply(self, writes: Sequence[Write]) -> None:
        """The writes; raises LostRace when an update found nothing.

        What touches all that matches goes first, then one bulk per collection in the order given.
        """
        batches: dict[str, list[Insert | Update | Upsert | Delete]] = {}
        for write in writes:
            match write:
                case UpdateAll(collection=collection, filter=filter_, update=update):
                    with translated():
                        await self._store[collection].update_many(filter_, update, session=self._session)
                case DeleteAll(collection=collection, filter=filter_):
                    with translated():
                        await self._store[collection].delete_many(filter_, session=self._session)
                case _:
                    batches.setdefault(write.collection, []).append(write)
        for collection, batch in batches.items():
            inserts = [write.document for write in batch if isinstance(write, Insert)]
            if len(inserts) == len(batch):
                # The same command in the end, but the driver makes it of plain documents at less cost.
                await self.insert(collection, inserts)
            else:
                await self._bulk(collection, batch)

    async def _bulk(self, collection: str, batch: Sequence[Insert | Update | Upsert | Delete]) -> None:
        with translated():
            operations = [_operation(write) for write in batch]
            result = await self._store[collection].bulk_write(operations, ordered=True, session=self._session)
        found = result.matched_count + result.upserted_count
        if found != sum(isinstance(write, Update | Upsert) for write in batch):
            raise LostRace

    async def commit(self) -> None:
        """Commits, repeating commitTransaction alone while its outcome is unknown; raises OutcomeUnknown at last."""
        until = time.monotonic() + _COMMIT_PATIENCE
        pause = 0.02
        while True:
            try:
                await self._session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise failure(error) or error from error
                if time.monotonic() + pause > until:
                    raise OutcomeUnknown from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                return


class Store:
    """The database of one deployment; `store["users"]` is a collection with majority reads and writes."""

    def __init__(self, settings: Settings) -> None:
        tls: dict[str, Any] = {"tls": True, "tlsCAFile": str(settings.mongo_ca_file)} if settings.mongo_ca_file else {}
        self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            settings.mongo_url,
            appname=settings.name or "guildwire",
            serverSelectionTimeoutMS=3000,
            connectTimeoutMS=2000,
            socketTimeoutMS=10_000,
            maxPoolSize=64,
            waitQueueTimeoutMS=3000,
            **tls,
        )
        self._database = self._client.get_database(
            settings.mongo_db,
            read_concern=ReadConcern("majority"),
            write_concern=MAJORITY,
            read_preference=ReadPreference.PRIMARY,
        )

    def __getitem__(self, collection: str) -> AsyncIOMotorCollection[Document]:
        return self._database[collection]

    async def changed(
        self, collection: str, filter_: Filter, update: Document, projection: Document
    ) -> Document | None:
        """Updates one document, and returns as what; None if none matches."""
        with translated():
            found: Document | None = await self[collection].find_one_and_update(
                filter_, update, projection=projection, return_document=ReturnDocument.AFTER
            )
        return found

    def linearizable(self, collection: str) -> AsyncIOMotorCollection[Document]:
        """For reads of one document that must see all that was written before, and wait for it to be durable."""
        return self._database[collection].with_options(read_concern=ReadConcern("linearizable"))

    async def prepare(self, collections: Collection[str] = EVERY) -> None:
        """Creates them with their indexes; any number of processes may do so at once, any number of times.

        Raises Misconfigured where MongoDB will never let this process do so.
        """
        try:
            for name in sorted(collections):
                if name in INDEXES:
                    await self[name].create_indexes(INDEXES[name])
                else:
                    await self._create(name)
        except PyMongoError as error:
            if why := _hopeless(error):
                raise Misconfigured(why) from error
            raise
        logger().info("store_ready", database=self._database.name)

    async def _create(self, collection: str) -> None:
        try:
            await self._database.command("create", collection)
        except OperationFailure as error:
            if error.code != 48:  # NamespaceExists
                raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begins a transaction; what leaves the block without `commit` is aborted."""
        with translated():
            session = await self._client.start_session()
        async with session:
            session.start_transaction(
                read_concern=ReadConcern("snapshot"), write_concern=MAJORITY, read_preference=ReadPreference.PRIMARY
            )
            try:
                yield Transaction(self, session)
            finally:
                if session.in_transaction:  # type: ignore[truthy-function]  # a property, whatever its stub says
                    try:
                        await session.abort_transaction()
                    except PyMongoError as error:
                        logger().warning("abort_failed", error=str(error))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Reads of one moment, without the cost of a transaction."""
        with translated():
            session = await self._client.start_session(snapshot=True)
        async with session:
            yield Snapshot(self, session)

    async def delete(self, collection: str, deletes: Sequence[DeleteAll]) -> int:
        """Outside of any transaction; each in the order of the index it uses. Returns how many documents there were."""
        with translated():
            each = [DeleteMany(delete.filter) for delete in deletes]
            result = await self[collection].bulk_write(each, ordered=False)
        return result.deleted_count

    async def documents(self, documents: list[Document], stages: list[Document]) -> list[Document]:
        """These documents, each with what the stages look up for it.

        Not by `$documents`: for that MongoDB asks for the right to read the whole database. It starts from a document
        that is there before anything is served; while a restore has it taken away, nothing can be said.
        """
        given: list[Document] = [
            {"$match": {"_id": "epoch"}},
            {"$project": {"given": {"$literal": documents}}},
            {"$unwind": "$given"},
            {"$replaceRoot": {"newRoot": "$given"}},
        ]
        with translated():
            found: list[Document] = await self["meta"].aggregate([*given, *stages]).to_list(len(documents))
        if len(found) < len(documents):
            raise Unavailable
        return found

    async def take_lease(self, name: str, holder: str, lasts_ms: int) -> bool:
        """Takes or renews a lease by MongoDB's own clock; False while another holder has it."""
        free = {"$or": [{"$lt": ["$until", "$$NOW"]}, {"$eq": ["$holder", holder]}]}
        until = {"$add": ["$$NOW", lasts_ms]}
        with translated():
            result = await self["leases"].update_one(
                {"_id": name, "$expr": free}, [{"$set": {"holder": holder, "until": until}}]
            )
            if result.matched_count:
                return True
            # An upsert may not use $expr: a lease nobody ever held is made free, to be taken the next time.
            free_now = {"$setOnInsert": {"holder": "", "until": datetime.fromtimestamp(0, UTC)}}
            await self["leases"].update_one({"_id": name}, free_now, upsert=True)
        return False

    async def epoch(self) -> str:
        """The value that names this database's history; made once, by whoever comes first."""
        with translated():
            known = await self["meta"].find_one({"_id": "epoch"})
            if known is not None:
                return str(known["value"])
            document = await self["meta"].find_one_and_update(
                {"_id": "epoch"},
                {"$setOnInsert": {"value": new_epoch()}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return str(document["value"])

    def close(self) -> None:
        self._client.close()
