"""Durable appends per second through one process's journal, against bare `insert_many` of as many at a time."""

from __future__ import annotations

import asyncio
import statistics
import time

from pydantic import BaseModel

from bench.system import Bench, quantile
from shared.bus import Bus
from shared.epoch import Epoch
from shared.journal import Append, Head, Journal, Origin, Written
from shared.protocol.message import MessageDeleted
from shared.scopes import channel_scope
from shared.settings import Settings
from shared.store import Store
from shared.writes import Insert

CHANNELS = 100
WRITERS = 200
ROUNDS = 6
SECONDS = 1.0
_FAR = 1e12


class Nothing(BaseModel):
    pass


async def measure(bench: Bench) -> str:
    """Each writer appends as soon as its last is durable; the yardstick inserts as many documents in one go.

    They take turns, and the median round counts, so that whatever else the machine does falls on both.
    """
    settings = Settings(name="bench", mongo_url=bench.mongod.url, nats_url=bench.nats.url, mongo_db="bench")
    store, bus = Store(settings), Bus(settings, "messages")
    await store.prepare()
    await bus.connect()
    epoch = Epoch(store)
    await epoch.read()
    journal = Journal(store, bus, settings, "bench", epoch)
    work = asyncio.create_task(journal.run())
    appended, inserted = [], []
    times: list[float] = []
    for _ in range(ROUNDS):
        took = await _append(journal)
        times.extend(took)
        appended.append(len(took) / SECONDS)
        inserted.append(await _insert(store) / SECONDS)
    work.cancel()
    await bus.close()
    store.close()
    rate, bare = statistics.median(appended), statistics.median(inserted)
    waited = f"p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms"
    return (
        f"journal appends by {WRITERS} writers: {rate:.0f}/s, {waited}; bare insert_many {bare:.0f}/s;"
        f" ratio {rate / bare:.2f}"
    )


async def _append(journal: Journal) -> list[float]:
    """How long each took."""
    times: list[float] = []
    until = time.perf_counter() + SECONDS

    def write(head: Head) -> Written[Nothing]:
        message = {"channel_id": f"c{head.last_id}", "id": head.last_id + 1, "content": "x" * 100}
        return Written(
            MessageDeleted(message_id=head.last_id + 1), [Insert("plain", message)], Nothing(), head.last_id + 1
        )

    async def writer(number: int) -> None:
        scope = channel_scope(f"bench{number % CHANNELS}", "bench")
        while time.perf_counter() < until:
            began = time.perf_counter()
            await journal.append(Origin({}, _FAR), Append(scope, write))
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    return times


async def _insert(store: Store) -> int:
    """Two documents for each append, as the journal writes an entry and an entity."""
    inserted, until = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        batch = [{"scope": f"bare{each}", "content": "x" * 300} for each in range(WRITERS)]
        await store["bare"].insert_many(batch)
        await store["plain"].insert_many([{"content": "x" * 100} for _ in range(WRITERS)])
        inserted += WRITERS
    return inserted
