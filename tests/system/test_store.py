"""Transactions on a real mongod: what they count, and what a session that failed leaves to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pymongo.errors import WriteConcernError

from deploy.embedded import Mongod
from shared.errors import LostRace, Unavailable
from shared.settings import Settings
from shared.store import Store, failure
from shared.writes import Insert, Update


@pytest_asyncio.fixture
async def store(mongod: Mongod) -> AsyncIterator[Store]:
    store = Store(Settings(name="test", mongo_url=mongod.url, mongo_db="store"))
    await store.prepare()
    yield store
    for name in ("meta", "servers", "messages"):
        await store[name].delete_many({})
    store.close()


async def test_what_is_required_is_counted_over_collections_in_one_query(store: Store) -> None:
    await store["meta"].insert_one({"_id": "epoch", "value": "a"})
    await store["servers"].insert_many([{"_id": "s", "perm_rev": 1}, {"_id": "t", "perm_rev": 2}])
    now, past = [{"_id": "epoch", "value": "a"}], [{"_id": "epoch", "value": "b"}]
    servers = [{"_id": "s", "perm_rev": 1}, {"_id": "t", "perm_rev": 2}]
    async with store.transaction() as transaction:
        assert await transaction.count({"meta": now}) == 1
        assert await transaction.count({"meta": now, "servers": servers}) == 3
        assert await transaction.count({"meta": now, "servers": [servers[0], {"_id": "t", "perm_rev": 1}]}) == 2
        assert await transaction.count({"meta": past, "servers": servers}) == 0
        assert await transaction.count({"servers": servers, "meta": past}) == 2


async def test_a_transaction_that_failed_leaves_nothing_to_the_next(store: Store) -> None:
    def message(number: int) -> Insert:
        return Insert("messages", {"channel_id": "c", "id": number})

    for number in (1, 2):
        async with store.transaction() as transaction:
            await transaction.apply([message(number)])
            await transaction.commit()
        with pytest.raises(LostRace):
            async with store.transaction() as transaction:
                await transaction.apply([message(number + 2), message(number)])
        with pytest.raises(LostRace):
            async with store.transaction() as transaction:
                await transaction.apply([message(number + 2), Update("messages", {"id": 9}, {"$set": {"x": 1}})])
        async with store.transaction() as transaction:
            await transaction.apply([message(number + 2)])
        async with store.transaction() as transaction:
            assert await transaction.find("messages", {"id": number + 2}, 1) == []
    assert await store["messages"].count_documents({}) == 2


@pytest.mark.parametrize("code", [91, 189, 11602, 64])
def test_a_write_that_a_majority_may_never_have_is_no_bug(code: int) -> None:
    """What a member says that goes away in the midst of it."""
    said = WriteConcernError("Replication is being shut down", code, {"code": code})
    assert isinstance(failure(said), Unavailable)


async def test_given_documents_are_all_there_with_what_is_looked_up_or_nothing_is_said(store: Store) -> None:
    await store["messages"].insert_one({"channel_id": "c", "id": 1})
    lookup = {"from": "messages", "localField": "channel", "foreignField": "channel_id", "as": "found"}
    given: list[dict[str, object]] = [{"channel": "c"}, {"channel": "d"}, {"channel": "c"}]
    with pytest.raises(Unavailable):
        await store.documents(given, [{"$lookup": lookup}])
    await store.epoch()
    found = await store.documents(given, [{"$lookup": lookup}])
    assert [(each["channel"], len(each["found"])) for each in found] == [("c", 1), ("d", 0), ("c", 1)]
