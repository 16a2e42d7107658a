"""Replicas killed, restarted, added and removed while people write, read and change things on both gateways.

Nobody is told anything worse than `unavailable`, and not even that when a replica is asked to end or a new one comes.
Whoever was told it asks again, the same: what was acknowledged is there once, in its author's order, and came to
everybody once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.client import Client, Reply
from tests.faults.crashing import Dooms
from tests.faults.crowd import Crowd, insist
from tests.faults.rows import sized
from tests.rig import SERVICES, People, Person, System, eventually, join

REPLICAS = 2
INHABITANTS, CHANNELS, VOICES = 10, 20, 2
"""In each channel two people talk, one on each gateway."""

RESTS = 0.25
KILLS, SHARE = sized(1, 3), 50
STEADY = 200
"""Messages that are said before anything happens."""

AWAY = 1.0
"""Seconds from a replica's death to its being started again."""

LONGEST_TROUBLE = 2.5
"""Seconds from a replica's death to the last error because of it; less than until its silence would be noticed."""

WATCHED = 9.0
"""For so long each death is watched: longer than any request may take."""

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Town:
    """One server; the first of its people owns it, and every other one is on the second gateway."""

    people: People
    persons: list[Person]
    crowd: Crowd
    dooms: Dooms
    server_id: str
    channels: list[str]
    clients: list[Client]
    """All that were ever connected."""

    @property
    def system(self) -> System:
        return self.crowd.system

    async def bustle(self) -> None:
        """Everybody begins to write, to read, to build, to come and to go; returns when it is under way."""
        for number, device in enumerate(self.crowd.devices * (CHANNELS * VOICES // INHABITANTS)):
            lap = number // CHANNELS
            self.crowd.talk(device, self.channels[(number + lap) % CHANNELS])
        for number, device in enumerate(self.crowd.devices):
            self.crowd.go_on(partial(self._look_around, device.client))
            self.crowd.go_on(partial(self._come_and_go, self.persons[number], number % 2))
        self.crowd.go_on(self._build)
        await self.crowd.has_said(STEADY)

    async def _look_around(self, client: Client, _number: int) -> None:
        await insist(client, "get_server_channels", server_id=self.server_id)
        await insist(client, "get_users", users={person.id: 0 for person in self.persons})

    async def _come_and_go(self, person: Person, gateway: int, _number: int) -> None:
        """Logs in on another device, and out again."""
        client = await self.people.open(gateway)
        self.clients.append(client)
        made = await insist(client, "login", name=person.name, password=person.password)
        await insist(client, "authenticate", token=made["token"])
        await insist(client, "logout")
        await client.closed()

    async def _build(self, _number: int) -> None:
        name = f"built at {time.monotonic()}"
        made = await insist(
            self.crowd.devices[0].client, "add_channel", server_id=self.server_id, name=name, nonce=name
        )
        self.crowd.everybody_reaches(f"server:{self.server_id}", made["rev"])

    def refused(self, since: float) -> list[Reply]:
        """Which requests were answered with an error."""
        received = (item for client in self.clients for item in client.received)
        return [item for item in received if isinstance(item, Reply) and item.error is not None and item.at >= since]

    async def comes_to_rest(self) -> None:
        """All talk ends, and all that was acknowledged is there and was heard, once and in order."""
        await self.crowd.hush()
        await self.crowd.settle()
        await self.crowd.catch_up(time.monotonic())
        await self.crowd.agree()
        await self.crowd.nothing_is_lost_or_doubled()
        self.nobody_spoke_out_of_turn()

    def nobody_spoke_out_of_turn(self) -> None:
        """Each author's messages stand in the order they were written, and everybody heard each once, in that order."""
        told: dict[str, list[tuple[str, str]]] = {channel_id: [] for channel_id in self.channels}
        found = self.crowd.system.db.journal.aggregate(
            [
                {"$match": {"scope": {"$in": [f"channel:{channel_id}" for channel_id in self.channels]}}},
                {"$sort": {"rev": 1}},
                {"$unwind": "$events"},
                {"$match": {"events.name": "message_added"}},
            ]
        )
        for entry in found:
            _tell(told, entry["events"]["params"]["message"])
        for channel_id, said in told.items():
            for author_id in {author_id for author_id, _ in said}:
                numbers = [int(content.split()[-1]) for author, content in said if author == author_id]
                assert all(first < then for first, then in pairwise(numbers)), f"{author_id} in {channel_id}: {numbers}"
        for device in self.crowd.devices:
            heard: dict[str, list[tuple[str, str]]] = {channel_id: [] for channel_id in self.channels}
            for event in device.client.heard("message_added"):
                _tell(heard, event.params["message"])
            assert heard == told


def _tell(told: dict[str, list[tuple[str, str]]], message: dict[str, Any]) -> None:
    told[message["channel_id"]].append((message["author_id"], message["content"]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[Town]:
    directory = tmp_path_factory.mktemp("town")
    argv = {service: [sys.executable, "-m", "tests.faults.crashing", service] for service in SERVICES}
    env = {service: {"DOOMS": str(directory / "dooms")} for service in SERVICES}
    replicas = dict.fromkeys(SERVICES, REPLICAS)
    with System(directory, mongod, replicas=replicas, argv=argv, env=env) as system:
        people = People(system)
        everybody = await people.several(*["anybody"] * INHABITANTS)
        devices = [await people.device(person, number % 2) for number, person in enumerate(everybody)]
        owner = devices[0].client
        server_id = (await owner.call("add_server", name="town"))["id"]
        for device in devices[1:]:
            await join(owner, device.client, server_id)
        made = [await owner.call("add_channel", server_id=server_id, name=f"street {n}") for n in range(CHANNELS)]
        for device in devices:
            await device.load()
        crowd = Crowd(system, devices, rests=RESTS)
        channels, clients = [channel["id"] for channel in made], [device.client for device in devices]
        yield Town(people, everybody, crowd, Dooms(directory / "dooms"), server_id, channels, clients)
        await crowd.disperse()
        await people.close()


async def at_any_moment(town: Town, number: int) -> list[str]:
    """One of each service dies."""
    names = [f"{service}-{number % REPLICAS}" for service in SERVICES]
    await asyncio.gather(*(town.system.kill(name) for name in names))
    return names


async def after_a_commit(town: Town, number: int) -> list[str]:
    """Who commits next to a channel, and to the server, dies before it has answered."""
    scopes = [f"channel:{town.channels[number]}", f"server:{town.server_id}"]
    for scope in scopes:
        town.dooms.lay(scope, "after-commit")
    await eventually(lambda: all(town.dooms.blow(scope) for scope in scopes), "the blows")
    names = [blow.name for scope in scopes if (blow := town.dooms.blow(scope))]
    await eventually(lambda: not any(town.system.processes[name].running for name in names), "their end")
    return names


@pytest.mark.timeout(300)
@pytest.mark.parametrize("strike", [at_any_moment, after_a_commit])
async def test_killed_and_started_again(town: Town, strike: Callable[[Town, int], Awaitable[list[str]]]) -> None:
    """Whoever asked one of them is told soon; whoever asks next is answered by another."""
    began = time.monotonic()
    await town.bustle()
    for number in range(KILLS):
        names = await strike(town, number)
        killed = time.monotonic()
        await asyncio.sleep(AWAY)
        await town.system.launch(*names)
        await asyncio.sleep(killed + WATCHED - time.monotonic())
        last = max((reply.at - killed for reply in town.refused(killed)), default=0.0)
        logger.info("%s killed: %s, the last after %.2f s", names, _counted(town.refused(killed)), last)
        assert last < LONGEST_TROUBLE, _counted(town.refused(killed))
    await town.comes_to_rest()
    assert {reply.error.reason for reply in town.refused(began) if reply.error} <= {"unavailable"}


@pytest.mark.timeout(300)
async def test_asked_to_end_and_started_again(town: Town) -> None:
    """One after the other, as when a new version is rolled out: nobody notices anything."""
    began = time.monotonic()
    await town.bustle()
    for number in range(REPLICAS):
        for service in SERVICES:
            await town.system.terminate(f"{service}-{number}")
            await town.system.launch(f"{service}-{number}")
    await town.comes_to_rest()
    assert not town.refused(began), _counted(town.refused(began))


@pytest.mark.timeout(300)
async def test_one_more_comes_and_goes(town: Town) -> None:
    """It takes its share of the work, and gives it back."""
    began = time.monotonic()
    await town.bustle()
    for service in SERVICES:
        name = f"{service}-{REPLICAS}"
        await town.system.launch(name)
        await eventually(partial(_has_share, town.system, name), f"{name} has a share", 20)
        await town.system.terminate(name)
    await town.comes_to_rest()
    assert not town.refused(began), _counted(town.refused(began))


def _counted(replies: list[Reply]) -> dict[str, int]:
    return dict(Counter(reply.method for reply in replies))


def _has_share(system: System, name: str) -> bool:
    """Whether a replica has answered some of the clients' requests well."""
    with urllib.request.urlopen(f"http://127.0.0.1:{system.processes[name].admin_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("guildwire_requests_seconds_count") and 'outcome="ok"' in line]
    return sum(float(line.split()[-1]) for line in counts) > SHARE
