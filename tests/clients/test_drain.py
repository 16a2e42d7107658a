"""Clients on a gateway that is stopped: they move to the other one by one, and miss nothing of what is said."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from guildwire import Changes, Client
from guildwire.wire import Connection, OnEvent, OnReply, OnRequest

from tests.rig import People, System, eventually

WINDOW = 8.0
MOVING, STAYING = 20, 10
PAUSE = 1.0
"""Between two messages of one of them."""


class Chatter:
    """A client that writes, and counts what it hears. `moves` are the times at which it opened another connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.moves: list[tuple[float, str]] = []
        self.said: list[str] = []
        self.heard: Counter[int] = Counter()
        self.reread = 0
        self.changes: Changes = client.changes()
        client._link._open = self._open

    async def _open(self, url: str, on_event: OnEvent, on_reply: OnReply, on_request: OnRequest) -> Connection:
        opened = await Connection.open(url, on_event, on_reply, on_request)
        self.moves.append((time.monotonic(), url))
        return opened

    async def write(self, number: int, channel_id: str, until: asyncio.Event) -> None:
        while not until.is_set():
            content = f"{number} says {len(self.said)}"
            await self.client.add_message(channel_id, content)
            self.said.append(content)
            await asyncio.sleep(PAUSE)  # the pace of somebody who talks much

    def count(self) -> None:
        for change in self.changes.take_all():
            if (change.what, change.action) == ("message", "added"):
                self.heard[int(change.id)] += 1
            self.reread += change.what in {"page", "cache"}

    def has(self, channel_id: str) -> list[str]:
        return [message["content"] for message in self.client.cache.pages(channel_id).newest(10_000)]


@pytest_asyncio.fixture
async def doomed(system: System) -> AsyncIterator[str]:
    name = system.add_gateway(DRAIN_SECONDS=str(WINDOW))
    await system.launch(name)
    yield name
    await asyncio.to_thread(system.processes[name].stop)


async def settle(system: System, people: People, doomed: str) -> tuple[list[Chatter], str]:
    """All of them in one channel, most of them on the gateway that will go."""
    going, other = system.url(int(doomed.rpartition("-")[2])), system.url(1)
    everybody = await people.several(*["chatter"] * (MOVING + STAYING))
    clients = [Client([going, other] if n < MOVING else [other, going]) for n in range(len(everybody))]
    chatters = [Chatter(client) for client in clients]
    await asyncio.gather(
        *(client.authenticate(person.token) for client, person in zip(clients, everybody, strict=True))
    )
    server_id = (await clients[0].add_server("Tea house"))["id"]
    code = (await clients[0].add_invite(server_id))["code"]
    await asyncio.gather(*(client.join_server(code) for client in clients[1:]))
    for client in clients:
        await client.load_server(server_id)
    channel_id = next(iter(clients[0].cache.servers[server_id].channels))
    await asyncio.gather(*(client.load_messages(channel_id, 50) for client in clients))
    return chatters, channel_id


@pytest.mark.slow
async def test_who_has_to_move_loses_nothing_and_says_nothing_twice(
    system: System, people: People, doomed: str
) -> None:
    chatters, channel_id = await settle(system, people, doomed)
    for chatter in chatters:
        chatter.changes.take_all()
        chatter.moves.clear()
    enough = asyncio.Event()
    writing = [asyncio.create_task(each.write(n, channel_id, enough)) for n, each in enumerate(chatters)]
    await eventually(lambda: all(chatter.said for chatter in chatters), "all have said something")

    begun = time.monotonic()
    await system.terminate(doomed)
    took = time.monotonic() - begun
    await eventually(lambda: all(each.client.state.url == system.url(1) for each in chatters), "all are there", 10)
    enough.set()
    await asyncio.gather(*writing)

    said = sorted(content for chatter in chatters for content in chatter.said)
    assert sorted(message["content"] for message in system.db.messages.find({"channel_id": channel_id})) == said
    for chatter in chatters:
        await eventually(lambda each=chatter: sorted(each.has(channel_id)) == said, "it has heard all", 10)  # type: ignore[misc]
        chatter.count()
        assert (set(chatter.heard.values()), len(chatter.heard), chatter.reread) == ({1}, len(said), 0)

    assert [len(chatter.moves) for chatter in chatters] == [1] * MOVING + [0] * STAYING
    times = [at - begun for chatter in chatters[:MOVING] for at, _ in chatter.moves]
    fifths = Counter(int(at / WINDOW * 5) for at in times)
    assert len(fifths) >= 4, times
    assert max(fifths.values()) <= MOVING / 2, times
    assert max(times) < took < WINDOW, (times, took)
    await asyncio.gather(*(chatter.client.close() for chatter in chatters))
