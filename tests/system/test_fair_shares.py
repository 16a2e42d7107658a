"""However noisy a server is, a replica of a service has places left for the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.client import Client, RpcError
from tests.rig import System, general

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACES, SHARE = 12, 3
NOISY, CHANNELS = 8, 6
QUIET = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[System]:
    """Few places, so that few people are many; and nobody comes to the end of their own limits."""
    env = {
        "*": {"LIMITS": "on"},
        "gateway": {"TRUSTED_PROXIES": "127.0.0.0/8", "RATE_BURST": "5000", "RATE_PER_SECOND": "1000"},
        "messages": {"SERVICE_CONCURRENCY": str(PLACES), "SERVICE_SHARE": str(SHARE / PLACES)},
    }
    system = System(Path(tmp_path_factory.mktemp("small")), mongod, gateways=1, env=env)
    await asyncio.to_thread(system.start)
    yield system
    await asyncio.to_thread(system.stop)


class Place:
    """A server with its channels, and people of it, each with an address of their own."""

    def __init__(self, system: System, stack: AsyncExitStack, name: str) -> None:
        self._system = system
        self._stack = stack
        self._name = name
        self.clients: list[Client] = []
        self.channels: list[str] = []
        self.invite = ""

    async def is_made(self, people: int, channels: int) -> None:
        owner = await self.comes()
        server_id = (await owner.call("add_server", name=self._name))["id"]
        added = [await owner.call("add_channel", server_id=server_id, name=f"c{n}") for n in range(channels - 1)]
        self.channels = [await general(owner, server_id), *(each["id"] for each in added)]
        self.invite = (await owner.call("add_invite", server_id=server_id))["code"]
        for _ in range(people - 1):
            member = await self.comes()
            await member.call("join_server", invite=self.invite)
            await member.event("server_added")

    async def comes(self) -> Client:
        number = len(self.clients)
        headers = {"X-Forwarded-For": f"198.51.{len(self._name)}.{number}"}
        client = await self._stack.enter_async_context(await Client.connect(self._system.url(), headers=headers))
        made = await client.call("register", name=f"{self._name}.{number}", password="correct horse")
        await client.call("authenticate", token=made["token"])
        self.clients.append(client)
        return client


@dataclass
class Noise:
    outcomes: Counter[str] = field(default_factory=Counter)
    waits: list[int] = field(default_factory=list)
    """Milliseconds after which those refused were told to come again."""


@asynccontextmanager
async def noise(asks: list[Callable[[], Awaitable[Any]]]) -> AsyncIterator[Noise]:
    """Each is asked again and again, whatever comes of it."""
    found, over = Noise(), asyncio.Event()

    async def ask(one: Callable[[], Awaitable[Any]]) -> None:
        while not over.is_set():
            try:
                await one()
                found.outcomes["ok"] += 1
            except RpcError as error:
                found.outcomes[error.reason] += 1
                found.waits += [error.data["retry_after_ms"]] if error.reason == "rate_limited" else []
                await asyncio.sleep(0.01)  # far sooner than it was told, but not so that refusing is all that's done

    asking = [asyncio.create_task(ask(one)) for one in asks]
    try:
        yield found
    finally:
        over.set()
        await asyncio.gather(*asking)


def says(client: Client, channel_id: str) -> Callable[[], Awaitable[Any]]:
    return lambda: client.call("add_message", channel_id=channel_id, content="noise")


async def all_is_well(place: Place) -> None:
    """Whatever its people ask is answered, reads and writes, one after the other."""
    for number in range(QUIET):
        said = await place.clients[0].call("add_message", channel_id=place.channels[0], content=f"{number}")
        page = {"channel_id": place.channels[0], "amount": 1, "anchor": 0, "direction": False}
        assert (await place.clients[0].call("get_message_chunk", **page))["messages"][0]["id"] == said["id"]


def refused_for(system: System, why: str) -> float:
    with urlopen(f"http://127.0.0.1:{system.processes['messages-0'].admin_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    name = f'guildwire_requests_refused_total{{why="{why}"}}'
    return sum(float(each.split()[1]) for each in lines if each.startswith(name))


async def test_a_noisy_server_leaves_places_for_others_and_gets_its_own(small: System) -> None:
    async with AsyncExitStack() as stack:
        noisy, quiet = Place(small, stack, "noisy"), Place(small, stack, "calm")
        await noisy.is_made(NOISY, CHANNELS)
        await quiet.is_made(1, 1)
        async with noise([says(client, each) for client in noisy.clients for each in noisy.channels]) as found:
            await all_is_well(quiet)
        assert found.outcomes.keys() == {"ok", "rate_limited"}
        assert found.outcomes["ok"] > QUIET / 10
        assert 200 <= min(found.waits) < 400
        assert 800 < max(found.waits) <= 1000
        assert refused_for(small, "share") >= found.outcomes["rate_limited"]
        assert refused_for(small, "overload") == 0
        # And nothing stays taken.
        await all_is_well(noisy)


async def test_who_is_not_in_a_server_takes_nothing_of_its_share(small: System) -> None:
    async with AsyncExitStack() as stack:
        there, outside = Place(small, stack, "the.victim"), Place(small, stack, "outsiders")
        await there.is_made(1, 1)
        for _ in range(PLACES - 4):
            await outside.comes()
        async with noise([says(client, there.channels[0]) for client in outside.clients]) as found:
            await all_is_well(there)
        assert found.outcomes.keys() == {"not_found"}
