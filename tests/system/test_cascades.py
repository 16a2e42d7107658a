"""Cascades: every batch runs until all is done, whoever fails or dies meanwhile, and a bad one holds up no other."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from shared import cascade as cascades
from shared.cascade import Cascades, Task, batches_of, cascade, works_off
from shared.errors import LostRace
from shared.settings import Settings
from shared.store import Store
from tests.rig import eventually


class Counting:
    """A kind of work that counts down in the database: `left` documents, one a batch."""

    def __init__(self, store: Store, worker: str = "") -> None:
        self.store = store
        self.worker = worker
        self.order: list[str] = []
        self.trouble: list[Exception] = []

    @works_off("count_down")
    async def count_down(self, task: Task) -> bool:
        name = str(task.about["name"])
        if name == "bad":
            raise RuntimeError("never works")
        if self.trouble:
            raise self.trouble.pop()
        self.order.append(name)
        assert not task.origin.expired
        await self.store["left"].find_one_and_delete({"name": name})
        return await self.store["left"].count_documents({"name": name}) == 0


@pytest_asyncio.fixture
async def store(mongod: Mongod) -> AsyncIterator[Store]:
    made = Store(Settings(mongo_url=mongod.url, mongo_db=f"test_{uuid.uuid4().hex[:12]}"))
    await made.prepare()
    yield made
    for name in ("left", "cascades", "leases"):
        await made[name].drop()
    made.close()


async def leave(store: Store, name: str, number: int, service: str = "guilds", kind: str = "count_down") -> None:
    if number:
        await store["left"].insert_many([{"name": name} for _ in range(number)])
    await store["cascades"].insert_one(cascade(service, kind, name=name))


@asynccontextmanager
async def working(store: Store, holder: str) -> AsyncIterator[Counting]:
    counting = Counting(store)
    task = asyncio.create_task(Cascades(store, "guilds", holder, batches_of([counting])).run())
    try:
        yield counting
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_left(store: Store, *names: str) -> None:
    """Waits until of all cascades these are left."""
    deadline = time.monotonic() + 15
    while sorted([each["about"]["name"] async for each in store["cascades"].find()]) != sorted(names):
        assert time.monotonic() < deadline, f"not only {names} are left"
        await asyncio.sleep(0.02)


async def test_every_batch_runs_until_nothing_is_left_in_turns(store: Store) -> None:
    await leave(store, "long", 5)
    await leave(store, "short", 1)
    await leave(store, "empty", 0)
    async with working(store, "one") as counting:
        await until_left(store)
    assert counting.order.count("long") == 5
    assert counting.order.index("short") < 3
    assert await store["left"].count_documents({}) == 0


async def test_what_is_another_services_or_unknown_stays(store: Store) -> None:
    await leave(store, "mine", 2)
    await leave(store, "theirs", 1, service="messages")
    await leave(store, "newer", 1, kind="not known yet")
    async with working(store, "one") as counting:
        await until_left(store, "theirs", "newer")
    assert set(counting.order) == {"mine"}


async def test_one_that_fails_is_put_off_and_holds_up_no_other(store: Store) -> None:
    await leave(store, "bad", 1)
    await leave(store, "good", 30)
    async with working(store, "one") as counting:
        counting.trouble = [LostRace(), RuntimeError("once"), LostRace()]
        await until_left(store, "bad")
    assert counting.order == ["good"] * 30
    bad = await store["cascades"].find_one({"about.name": "bad"})
    assert bad is not None
    assert bad["failures"] >= 1


async def test_another_goes_on_where_a_worker_died(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascades, "_LEASE_MS", 1000)
    await leave(store, "long", 400)
    async with working(store, "one") as first:
        await eventually(lambda: bool(first.order), "it begins")
        async with working(store, "two") as second:
            await asyncio.sleep(0.6)
            assert not second.order, "two held the lease"
    left = await store["left"].count_documents({})
    assert left, "it was done before it could be interrupted"
    async with working(store, "three") as third:
        await until_left(store)
    # What the worker had sent when it died may have been done after the count.
    assert left - 1 <= len(third.order) <= left


async def test_many_long_ones_have_their_turns(store: Store) -> None:
    names = [f"{number}" for number in range(45)]
    for name in names:
        await leave(store, name, 4)
    async with working(store, "one") as counting:
        await until_left(store)
    assert sorted(counting.order[: len(names)]) == sorted(names)
