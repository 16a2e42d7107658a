"""A gateway that is told to go: nobody comes any more, and each leaves in its time, with what it asked answered."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio

from tests.client import Client, Closed, Event, RpcError
from tests.pictures import flag, saved
from tests.rig import People, Person, System, general, join

GOING_AWAY = 1012
WINDOW = 4.0
SOON = 1.5
"""Seconds beyond what it should take, on a machine that does other things too."""


class Going:
    """A gateway of its own, with so many seconds to drain in."""

    def __init__(self, system: System, people: People, name: str) -> None:
        self.system = system
        self.people = people
        self.name = name
        self.number = int(name.rpartition("-")[2])
        self._process = system.processes[name]

    async def connect(self, person: Person) -> Client:
        return await self.people.connect(person, self.number)

    async def told(self, client: Client) -> Event:
        event = await client.event("reconnect")
        assert len(client.heard("reconnect")) == 1
        return event

    def term(self) -> None:
        self.system.signal(self.name, signal.SIGTERM)

    async def ended(self) -> float:
        """Seconds until the process is no more."""
        begun = time.monotonic()
        while self._process.running:
            assert time.monotonic() < begun + 30, "it goes on running"
            await asyncio.sleep(0.01)
        assert self._process.ending == "ended with exit code 0"
        return time.monotonic() - begun

    async def get(self, path: str, port: int | None = None) -> aiohttp.ClientResponse:
        url = self.system.url(self.number).replace("ws://", "http://").removesuffix("/ws")
        base = url if port is None else f"http://127.0.0.1:{port}"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        headers = {**upgrade, "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="} if path == "/ws" else {}
        async with aiohttp.ClientSession() as web, web.get(f"{base}{path}", headers=headers) as response:
            return response

    async def readiness(self) -> list[int]:
        """What the clients' port says, and what the admin port says."""
        ports = (None, self._process.admin_port)
        return [(await self.get("/readyz", port)).status for port in ports]


@pytest_asyncio.fixture
async def launch(system: System, people: People) -> AsyncIterator[Callable[[float], Going]]:
    names: list[str] = []

    def make(window: float) -> Going:
        names.append(system.add_gateway(DRAIN_SECONDS=str(window)))
        system.launch_now(names[-1])
        return Going(system, people, names[-1])

    yield make
    for name in names:
        await asyncio.to_thread(system.processes[name].stop)


@pytest.mark.protocol("reconnect")
async def test_each_is_told_its_own_time_and_closed_then(people: People, launch: Callable[[float], Going]) -> None:
    going = await asyncio.to_thread(launch, WINDOW)
    ann, bob = await people.several("ann", "bob")
    first = await people.connect(ann, 0)
    server_id = (await first.call("add_server", name="Tea house"))["id"]
    clients = [await going.connect(bob) for _ in range(9)] + [await people.open(going.number)]
    await join(first, clients[0], server_id)
    here = {"channel_id": await general(first, server_id)}

    begun = time.monotonic()
    going.term()
    told = [await going.told(client) for client in clients]
    assert await going.readiness() == [503, 503]
    refused = await going.get("/ws")
    assert (refused.status, "Retry-After" in refused.headers) == (503, False), "it is time to look for another"
    # Who is still there is served as ever.
    last = max(range(9), key=lambda number: told[number].params["after_ms"])
    said = await first.call("add_message", **here, content="still here?")
    await clients[last].event("message_added", rev=said["rev"])
    assert (await clients[last].call("add_message", **here, content="yes"))["id"] == said["id"] + 1

    for client, event in sorted(zip(clients, told, strict=True), key=lambda pair: int(pair[1].params["after_ms"])):
        assert await client.closed() == GOING_AWAY
        late = time.monotonic() - event.at - event.params["after_ms"] / 1000
        assert -0.05 < late < SOON
    assert sorted(event.params["after_ms"] for event in told) == [360 * number for number in range(1, 11)]
    assert time.monotonic() - begun < WINDOW
    assert await going.ended() < SOON


async def test_nothing_is_done_without_an_answer(people: People, launch: Callable[[float], Going]) -> None:
    going = await asyncio.to_thread(launch, 0.5)
    ann = await people.register("ann")
    clients = [await going.connect(ann) for _ in range(4)]
    server_id = (await clients[0].call("add_server", name="Tea house"))["id"]
    here = {"channel_id": await general(clients[0], server_id)}
    numbers, answered = itertools.count(), set()

    async def write(client: Client) -> None:
        while True:
            content = f"message {next(numbers)}"
            try:
                await client.call("add_message", **here, content=content)
            except Closed:
                return
            except RpcError as error:
                raise AssertionError(f"{content}: {error}") from error
            answered.add(content)

    writing = [asyncio.create_task(write(client)) for client in clients for _ in range(100)]
    await clients[0].until(lambda: len(answered) > 100)
    going.term()
    await asyncio.gather(*writing)
    stored = {message["content"] for message in people.system.db.messages.find(here)}
    assert stored == answered


async def test_an_image_on_its_way_is_taken(people: People, launch: Callable[[float], Going]) -> None:
    going = await asyncio.to_thread(launch, 5)
    token = (await people.anybody()).token
    image, rest = saved(flag(64, 64), "PNG"), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield image[:10]
        await rest.wait()
        yield image[10:]

    url = going.system.url(going.number).replace("ws:", "http:").replace("/ws", "/images")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as web:
        upload = asyncio.create_task(web.post(url, data=slowly()))
        await asyncio.sleep(0.5)  # nothing tells that it has begun
        going.term()
        await asyncio.sleep(1.5)  # longer than a request that nobody waits for would live
        rest.set()
        async with await upload as response:
            assert response.status == 200
    assert await going.ended() < SOON


async def test_the_second_signal_ends_it_at_once(people: People, launch: Callable[[float], Going]) -> None:
    going = await asyncio.to_thread(launch, 60)
    client = await going.connect(await people.anybody())
    going.term()
    assert (await going.told(client)).params == {"after_ms": 54_000}
    assert await going.readiness() == [503, 503]
    going.term()
    assert await client.closed(SOON) == GOING_AWAY
    assert await going.ended() < SOON


async def test_it_does_not_wait_for_nobody(people: People, launch: Callable[[float], Going]) -> None:
    going = await asyncio.to_thread(launch, 60)
    client = await going.connect(await people.anybody())
    going.term()
    await going.told(client)
    await client.close()
    assert await going.ended() < SOON
