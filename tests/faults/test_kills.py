"""A service killed at every step of a commit: what was acknowledged reaches everybody, once, and nothing stays blocked.

In each round all replicas of messages and of guilds die but one of each, one after the other, each at the step it is
told to. Then either somebody else writes to the scope at once (it must not be blocked), or nobody does (the change, if
it was committed, must come out all the same); and the dead are started again. Who is spared changes from round to
round, so that whoever sweeps the outbox in one round dies in the next.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cache import Device
from tests.faults.crashing import COMMITTED, STEPS, UNCOMMITTED, Death, Dooms
from tests.faults.crowd import PATIENCE, Crowd, end, insist, quantiles
from tests.rig import People, Person, System, eventually, join

ROUNDS = 20
REPLICAS = {"messages": 5, "guilds": 2}
"""Five kills a round: a hundred."""

CHANNELS, SERVERS = 24, 8
"""Enough for a scope to be left alone until the request that a kill interrupted has timed out and been repeated, even
when another kill interrupts it again: until then requests of the same connection wait for it."""

LONGEST_BLOCKED = 3.0
_ATTEMPTS = 60

logger = logging.getLogger(__name__)
_POLL = 0.005
_SECOND_PROBE = 0.5


@dataclass
class Case:
    """A change at which a process dies. `write` makes one more until it is acknowledged; `probes` are others' writes.

    `hearers` are the devices that hear of each scope the change writes to; `probed` is whether anyone writes after it.
    """

    step: str
    scope: str
    write: Callable[[], Awaitable[Any]]
    probes: Sequence[Callable[[], Awaitable[Any]]]
    hearers: dict[str, Sequence[Device]]
    probed: bool = False
    death: Death | None = None
    attempts: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def killed_at(self) -> float:
        assert self.death is not None
        return self.death.at


@dataclass
class Scene:
    """The running system with its people: `ann` owns all, `bob` is a member of all, `cay` comes and goes."""

    system: System
    dooms: Dooms
    crowd: Crowd
    ann: list[Device]
    bob: list[Device]
    cay: list[Device]
    channels: list[str]
    servers: list[str]
    invites: dict[str, str]
    cases: list[Case] = field(default_factory=list)
    blocked: list[float] = field(default_factory=list)
    healed: list[float] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    # The changes.

    def message(self, number: int, step: str) -> Case:
        """Adds a message: one scope, by the messages service."""
        channel_id = self.channels[number % len(self.channels)]
        writer, others = (self.ann[0], self.bob) if number % 2 else (self.bob[1], self.ann)
        scope = f"channel:{channel_id}"
        probes = [partial(self.crowd.say, other, channel_id) for other in others]
        return Case(step, scope, partial(self.crowd.say, writer, channel_id), probes, {scope: self.crowd.devices})

    def guild(self, number: int, step: str) -> Case:
        """By the guilds service: one scope, or two in one transaction."""
        kinds = (self.channel, self.server, self.coming_or_going)
        return kinds[(number + number // len(STEPS)) % len(kinds)](self.servers[number % len(self.servers)], step)

    def channel(self, server_id: str, step: str) -> Case:
        scope = f"server:{server_id}"
        first, second = (partial(self.add_channel, owner, server_id) for owner in self.ann)
        return Case(step, scope, first, [second], {scope: self.ann + self.bob})

    def server(self, _server_id: str, step: str) -> Case:
        scope = f"self:{self.ann[0].cache.user_id}"
        first, second = (partial(self.add_server, owner) for owner in self.ann)
        return Case(step, scope, first, [second], {scope: self.ann})

    def coming_or_going(self, server_id: str, step: str) -> Case:
        scope = f"self:{self.cay[0].cache.user_id}"
        probe = partial(self.add_channel, self.ann[1], server_id)
        return Case(step, f"server:{server_id}", partial(self.come_or_go, server_id), [probe], {scope: self.cay})

    async def add_channel(self, owner: Device, server_id: str) -> None:
        name = f"channel {next(self._numbers)}"
        made = await insist(owner.client, "add_channel", server_id=server_id, name=name, nonce=name)
        self.crowd.everybody_reaches(f"server:{server_id}", made["rev"], self.ann + self.bob)

    async def add_server(self, owner: Device) -> None:
        name = f"server {next(self._numbers)}"
        made = await insist(owner.client, "add_server", name=name, nonce=name)
        self.crowd.come_true(lambda device: made["id"] in device.cache.servers, name, self.ann)

    async def come_or_go(self, server_id: str) -> None:
        client, here = self.cay[0].client, server_id in self.cay[0].cache.servers
        if here:
            await insist(client, "leave_server", server_id=server_id)
        else:
            await insist(client, "join_server", invite=self.invites[server_id])
        await self.crowd.come_true(
            lambda device: (server_id in device.cache.servers) is not here, "cay comes or goes", self.cay
        )

    # A round.

    async def round(self, cases: Sequence[Case], spared: Sequence[str]) -> None:
        self.cases.extend(cases)
        dead = [await self.strike(case, spared) for case in cases]
        starting = asyncio.create_task(self.system.launch(*dead))
        await asyncio.gather(*(self.probe(case) for case in cases if case.probed))
        await asyncio.gather(*(self.heal(case) for case in cases))
        await starting

    async def strike(self, case: Case, spared: Sequence[str]) -> str:
        """Writes until a process has died of it, and names it; to which replica a request goes is not for us to say."""
        self.dooms.lay(case.scope, case.step, spared)
        while case.death is None:
            if all(attempt.done() for attempt in case.attempts):
                assert len(case.attempts) < _ATTEMPTS, f"nobody dies at {case.step}"
                case.attempts.append(asyncio.ensure_future(case.write()))
            await asyncio.sleep(_POLL)
            case.death = self.dooms.death(case.scope)
        victim = self.system.processes[case.death.name]
        await eventually(lambda: not victim.running, "its end")
        assert victim.ending == "ended by signal 9"
        return case.death.name

    async def probe(self, case: Case) -> None:
        """Somebody else writes to the scope; a second one too if the first seems to have been lost with a process."""
        under_way: list[asyncio.Task[Any]] = []
        for write in case.probes:
            under_way.append(asyncio.ensure_future(write()))
            finished, _ = await asyncio.wait(under_way, timeout=_SECOND_PROBE, return_when=asyncio.FIRST_COMPLETED)
            if finished:
                break
        case.attempts.extend(under_way)
        finished, _ = await asyncio.wait(under_way, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        blocked = time.monotonic() - case.killed_at
        assert finished, f"{case.scope} is blocked by a kill {case.step}"
        assert blocked <= LONGEST_BLOCKED, f"{case.scope} is blocked for {blocked:.1f} s by a kill {case.step}"
        self.blocked.append(blocked)

    async def heal(self, case: Case) -> None:
        """Whatever was committed to the case's scopes comes to those who hear them."""
        while True:
            heads = await asyncio.to_thread(self.heads, case)
            behind = {
                scope: f"at {device.cache.position(scope)} of {head}"
                for scope, head in heads.items()
                for device in case.hearers[scope]
                if device.cache.position(scope) < head
            }
            took = time.monotonic() - case.killed_at
            if not behind:
                break
            assert took < PATIENCE, f"a kill {case.step} keeps {behind}"
            await asyncio.sleep(_POLL)
        if case.step in COMMITTED and not case.probed:
            self.healed.append(took)

    def heads(self, case: Case) -> dict[str, int]:
        newest = (
            self.system.db.journal.find_one({"scope": scope}, sort=[("rev", -1)], projection=["scope", "rev"])
            for scope in case.hearers
        )
        return {entry["scope"]: entry["rev"] for entry in newest if entry}

    # The end.

    async def acknowledged(self) -> None:
        """Every write has been acknowledged, at last, and everybody has heard of it in time."""
        await asyncio.gather(*(attempt for case in self.cases for attempt in case.attempts))
        await self.crowd.hush()
        await self.crowd.settle()

    def died_where_they_should(self) -> None:
        for case in self.cases:
            assert case.death is not None
            for scope, rev, request in case.death.entries:
                found = self.system.db.journal.find_one({"scope": scope, "rev": rev, "by.request": request})
                if case.step in COMMITTED:
                    assert found, f"killed {case.step}, but {scope} {rev} was not committed"
                if case.step in UNCOMMITTED:
                    assert not found, f"killed {case.step}, but {scope} {rev} was committed"


def planned(scene: Scene, number: int) -> tuple[list[Case], list[str]]:
    """A round's cases and who is spared in it.

    Each step has its turn; after a commit, every other time nobody writes to the scope any more.
    """
    cases: list[Case] = []
    for service, replicas in REPLICAS.items():
        make = scene.guild if service == "guilds" else scene.message
        for turn in range(number * (replicas - 1), (number + 1) * (replicas - 1)):
            case = make(turn, STEPS[turn % len(STEPS)])
            case.probed = case.step not in COMMITTED or turn // len(STEPS) % 2 == 1
            cases.append(case)
    return cases, [f"{service}-{number % replicas}" for service, replicas in REPLICAS.items()]


async def staged(system: System, people: People, dooms: Dooms) -> Scene:
    """Everybody on both gateways, with enough channels and servers to break things in."""
    persons = await people.several("ann", "bob", "cay")

    async def on_both(person: Person) -> list[Device]:
        return [await people.device(person, gateway) for gateway in (0, 1)]

    ann, bob, cay = [await on_both(person) for person in persons]
    made = [await ann[0].client.call("add_server", name=f"stage {number}") for number in range(SERVERS + 1)]
    servers = [server["id"] for server in made]
    for server_id in servers:
        await join(ann[0].client, bob[1].client, server_id)
    await join(ann[0].client, cay[1].client, servers[0])
    invites = [await ann[0].client.call("add_invite", server_id=server_id) for server_id in servers]
    channels = [
        await ann[0].client.call("add_channel", server_id=servers[0], name=f"channel {number}")
        for number in range(CHANNELS + 2)
    ]
    crowd = Crowd(system, [*ann, *bob, *cay])
    for device in crowd.devices:
        await device.load()
    ids = [channel["id"] for channel in channels]
    codes = {invite["server_id"]: invite["code"] for invite in invites}
    for device, channel_id in zip(ann + bob, ids[-2:] * 2, strict=True):
        crowd.talk(device, channel_id)
    return Scene(system, dooms, crowd, ann, bob, cay, ids[:CHANNELS], servers[1:], codes)


@pytest_asyncio.fixture
async def scene(make_system: Callable[..., System], tmp_path: Path) -> AsyncIterator[Scene]:
    dooms = tmp_path / "dooms"
    system = make_system(
        replicas=REPLICAS,
        argv={service: [sys.executable, "-m", "tests.faults.crashing", service] for service in REPLICAS},
        # Without affinity, so that each replica gets its share of writes and may be the one to die.
        env={service: {"DOOMS": str(dooms)} for service in REPLICAS} | {"*": {"AFFINITY": "off"}},
    ).start()
    people = People(system)
    staging = await staged(system, people, Dooms(dooms))
    yield staging
    await end([attempt for case in staging.cases for attempt in case.attempts])
    await staging.crowd.disperse()
    await people.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_killed_at_every_step_of_a_commit(scene: Scene) -> None:
    for number in range(ROUNDS):
        await scene.round(*planned(scene, number))
    await scene.acknowledged()
    scene.died_where_they_should()
    await scene.crowd.nothing_is_lost_or_doubled()
    await scene.crowd.agree()
    logger.info("blocked %s", quantiles(scene.blocked))
    logger.info("healed without a write %s", quantiles(scene.healed))
    logger.info("from acknowledgement to everybody %s", quantiles(scene.crowd.lags))
