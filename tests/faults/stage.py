"""A system whose replicas can be struck at any step of a commit, and people on both gateways who make the changes."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.cache import Device
from tests.faults.crashing import Dooms
from tests.faults.crowd import Crowd, insist
from tests.rig import People, Person, System, join

CHANNELS, SERVERS = 24, 8

Write = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Change:
    """Something to be done again and again in one scope.

    `about` is the channel or server; `write` makes one more such change and returns when it is acknowledged; `probes`
    are others' writes to the scope; `hearers` are the devices that hear of each scope it writes to.
    """

    scope: str
    about: str
    write: Write
    probes: Sequence[Write]
    hearers: Mapping[str, Sequence[Device]]


@dataclass
class Stage:
    """The running system with its people: `ann` owns all, `bob` is a member of all, `cay` comes and goes."""

    system: System
    dooms: Dooms
    crowd: Crowd
    ann: list[Device]
    bob: list[Device]
    cay: list[Device]
    square: list[str]
    """Two channels for talk in the background."""
    channels: deque[str]
    servers: deque[str]
    invites: dict[str, str]
    under_way: dict[str, list[asyncio.Task[Any]]] = field(default_factory=dict)
    """The writes about each channel and server."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, change: Change, write: Write) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(write())
        self.under_way.setdefault(change.about, []).append(task)
        return task

    async def acknowledged(self) -> None:
        """Every write has been acknowledged, at last, and everybody has heard of it in time."""
        await asyncio.gather(*(task for tasks in self.under_way.values() for task in tasks))
        self.under_way.clear()
        await self.crowd.hush()
        await self.crowd.settle()

    def talk(self) -> None:
        """Ann and bob talk in the background, on both gateways."""
        for device, channel_id in zip(self.ann + self.bob, self.square * 2, strict=True):
            self.crowd.talk(device, channel_id)

    # The changes.

    def message(self, turn: int) -> Change:
        """Adds a message: one scope, by the messages service."""
        channel_id = self._free(self.channels)
        writer, others = (self.ann[0], self.bob) if turn % 2 else (self.bob[1], self.ann)
        probes = [partial(self.crowd.say, other, channel_id) for other in others]
        scope = f"channel:{channel_id}"
        write = partial(self.crowd.say, writer, channel_id)
        return Change(scope, channel_id, write, probes, {scope: self.crowd.devices})

    def guild(self, turn: int) -> Change:
        """By the guilds service: one scope, or two in one transaction."""
        kinds = (self.channel, self.server, self.coming_or_going)
        return kinds[turn % len(kinds)](self._free(self.servers))

    def channel(self, server_id: str) -> Change:
        scope = f"server:{server_id}"
        first, second = (partial(self._add_channel, owner, server_id) for owner in self.ann)
        return Change(scope, server_id, first, [second], {scope: self.ann + self.bob})

    def server(self, server_id: str) -> Change:
        scope = f"self:{self.ann[0].cache.user_id}"
        first, second = (partial(self._add_server, owner) for owner in self.ann)
        return Change(scope, server_id, first, [second], {scope: self.ann})

    def coming_or_going(self, server_id: str) -> Change:
        come_or_go = partial(self._come_or_go, server_id)
        probe = partial(self._add_channel, self.ann[1], server_id)
        hearers = {f"self:{self.cay[0].cache.user_id}": self.cay}
        return Change(f"server:{server_id}", server_id, come_or_go, [probe], hearers)

    async def _add_channel(self, owner: Device, server_id: str) -> None:
        name = f"channel {next(self._numbers)}"
        made = await insist(owner.client, "add_channel", server_id=server_id, name=name, nonce=name)
        self.crowd.everybody_reaches(f"server:{server_id}", made["rev"], self.ann + self.bob)

    async def _add_server(self, owner: Device) -> None:
        name = f"server {next(self._numbers)}"
        made = await insist(owner.client, "add_server", name=name, nonce=name)
        self.crowd.come_true(lambda device: made["id"] in device.cache.servers, name, self.ann)

    async def _come_or_go(self, server_id: str) -> None:
        client, here = self.cay[0].client, server_id in self.cay[0].cache.servers
        if here:
            await insist(client, "leave_server", server_id=server_id)
        else:
            await insist(client, "join_server", invite=self.invites[server_id])
        await self.crowd.come_true(
            lambda device: (server_id in device.cache.servers) is not here, "cay comes or goes", self.cay
        )

    def _free(self, things: deque[str]) -> str:
        """The one whose turn it is, and about which no request waits: others of its connection would wait behind it."""
        for _ in range(len(things)):
            things.rotate(-1)
            if all(task.done() for task in self.under_way.get(things[-1], ())):
                return things[-1]
        raise AssertionError("requests wait everywhere")


async def staged(system: System, people: People, dooms: Dooms) -> Stage:
    """Everybody on both gateways, with enough channels and servers to break things in."""

    async def on_both(person: Person) -> list[Device]:
        return [await people.device(person, gateway) for gateway in (0, 1)]

    ann, bob, cay = [await on_both(person) for person in await people.several("ann", "bob", "cay")]
    made = [await ann[0].client.call("add_server", name=f"stage {number}") for number in range(SERVERS + 1)]
    first, *others = [server["id"] for server in made]
    for server_id in (first, *others):
        await join(ann[0].client, bob[1].client, server_id)
    await join(ann[0].client, cay[1].client, first)
    invites = [await ann[0].client.call("add_invite", server_id=server_id) for server_id in others]
    channels = [
        await ann[0].client.call("add_channel", server_id=first, name=f"channel {number}")
        for number in range(CHANNELS + 2)
    ]
    crowd = Crowd(system, [*ann, *bob, *cay])
    for device in crowd.devices:
        await device.load()
    codes = {invite["server_id"]: invite["code"] for invite in invites}
    ids = [channel["id"] for channel in channels]
    return Stage(system, dooms, crowd, ann, bob, cay, ids[:2], deque(ids[2:]), deque(others), codes)
