"""Four users with five devices at one court: what they begin with, and what must hold after whatever they do.

Each step is done on the system and, if it was allowed, on the model of who sees. The steps stand in `intrigues`,
`pryings` and `courtesies`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from guildwire import Cache

from tests.app import App, fresh_sight
from tests.client import Client, Event, Received, Reply, RpcError
from tests.faults.proxy import Proxy
from tests.rig import People, Person, System, general
from tests.system.secrets_kept import Words
from tests.system.who_sees import Channel, Server
from tests.view import View

T = TypeVar("T")

USERS = range(4)
OWNER = -1
"""Acts in a step as whoever owns the server by then."""
DEVICES = ((0, 0), (1, 1), (1, 0), (2, 0), (3, 1))
"""Each a user and the gateway it starts on."""

_REFUSED = frozenset({"forbidden", "not_found", "conflict", "invalid_params"})

Frame = Any
"""What came to somebody in one piece, as JSON."""


@dataclass(frozen=True)
class Step:
    """What a user tries; `target` and `other` pick what it does it to, among what there is by then."""

    kind: str
    user: int
    target: int
    other: int


@dataclass
class Device:
    """`seen` is what the app must have been told of its sight since `told_before`, one event each."""

    user: int
    app: App
    gateway: int
    seen: list[tuple[str, str]] = field(default_factory=list)
    told_before: int = 0
    cache: Path | None = None

    @property
    def here(self) -> bool:
        return self.cache is None

    def told(self) -> list[tuple[str, str]]:
        """What it was told of its sight of channels, in order."""
        events = self.app.recording.traffic.told[self.told_before :]
        return [
            (name, params.get("channel_id") or params["channel"]["id"])
            for name, params in events
            if name in {"channel_added", "channel_deleted"}
        ]


class Court:
    """One server among four users. Steps come one after the other, so that the model knows each one's outcome."""

    def __init__(self, system: System, directory: Path, proxies: Sequence[Proxy]) -> None:
        """`proxies`: what stands before NATS for each gateway."""
        self._system = system
        self._proxies = proxies
        self._directory = directory
        self._people: list[Person] = []
        self._clients: list[Client] = []
        self._devices: list[Device] = []
        self._words = Words()
        self._server = Server(0, "")
        self._id = ""
        self._code = ""
        self._messages: list[tuple[str, int, int]] = []
        self._read: list[list[Received]] = [[] for _ in USERS]
        self._paused: list[asyncio.Task[None]] = []
        self._trailing: list[tuple[Proxy, str]] = []
        self._numbers = itertools.count(1)
        self.performed = 0
        self.tried: set[str] = set()
        self.done: set[str] = set()
        """Methods, and those of them that were not always refused."""

    async def begin(self) -> None:
        registering = People(self._system)
        self._people = await registering.several(*["schemer"] * len(USERS))
        await registering.close()
        for user, person in enumerate(self._people):
            client = await Client.connect(self._system.url(user % 2))
            await client.call("authenticate", token=person.token)
            self._clients.append(client)
        await self._make_server()
        for user, gateway in DEVICES:
            app = await App.connect([self._system.url(gateway)], self._people[user].token)
            self._devices.append(Device(user, app, gateway))
        self._note_sight({user: self._server.channels_of(user) for user in USERS}, set())

    async def _make_server(self) -> None:
        owner = self._clients[0].call
        self._id = (await owner("add_server", name="Court"))["id"]
        ids = {"server_id": self._id}
        (everyone,) = (await owner("get_server_roles", **ids))["roles"]
        channel_id = await general(self._clients[0], self._id)
        self._server = Server(0, everyone["id"], {everyone["id"]: frozenset(everyone["rules"])}, {0: set()})
        self._server.channels[channel_id] = Channel(None, {}, {})
        self._code = (await owner("add_invite", **ids))["code"]
        for user in (1, 2):
            await self._clients[user].call("join_server", invite=self._code)
            self._server.members[user] = set()

    async def end(self) -> None:
        await asyncio.gather(*self._paused)
        await asyncio.gather(
            *(device.app.close() for device in self._devices), *(each.close() for each in self._clients)
        )

    async def perform(self, steps: list[Step]) -> None:
        """The steps, one after the other; after each, what was heard may have been heard; then everybody must agree."""
        for step in steps:
            before = {user: self._server.channels_of(user) for user in USERS}
            members = set(self._server.members)
            acting = replace(step, user=self._server.owner) if step.user == OWNER else step
            await getattr(self, f"_{step.kind}")(acting)
            self._note_sight(before, members & set(self._server.members))
            self._check_heard()
        await asyncio.gather(*self._paused)
        self._paused.clear()
        for proxy, subject in self._trailing:
            proxy.delay_hints(subject, 0)
        self._trailing.clear()
        await self._check()
        self.performed += len(steps)

    # What must hold.

    def _note_sight(self, before: dict[int, set[str]], stayed: set[int]) -> None:
        """Joining and leaving are told in another way."""
        for user in USERS:
            after = self._server.channels_of(user)
            self._words.seen(user, self._server.places_of(user))
            for device in self._of(user) if user in stayed else ():
                device.seen += [("channel_added", each) for each in sorted(after - before[user])]
                device.seen += [("channel_deleted", each) for each in sorted(before[user] - after)]

    def _check_heard(self) -> None:
        """All that came since this was last called, over whatever connection."""
        for device in self._devices:
            self._judge(device.user, [json.loads(text) for text in device.app.recording.take_texts()])
        for user, client in enumerate(self._clients):
            for received in (client.received, self._read[user]):
                self._judge(user, [_frame(item) for item in received])
                for item in received:
                    if isinstance(item, Reply):
                        self._judge_answer(user, item.result)
                received.clear()

    def _judge(self, user: int, frames: Sequence[Frame]) -> None:
        leaked = self._words.leaked(user, map(str, frames))
        assert not leaked, f"user {user} heard {leaked}"

    def _judge_answer(self, user: int, answer: Frame) -> None:
        """What somebody was answered in the last step, or who asked when all was quiet: it is as of now."""

    async def _check(self) -> None:
        """Everybody sees what the model says, everybody's cache has it, and each change of sight was told once."""
        views = await asyncio.gather(*(self._read_anew(user) for user in USERS))
        for user, view in enumerate(views):
            assert set(view.snapshot["channels"]) == self._server.channels_of(user), f"what user {user} sees"
            shown = set(view.snapshot["categories"].get(self._id, ()))
            assert shown == self._server.categories_of(user), f"the categories that user {user} sees"
            for device in self._of(user):
                await self._must_agree(device, view)
        self._check_heard()

    async def _read_anew(self, user: int) -> View:
        """All that a user sees; what comes over that connection is judged as all else."""
        url, token = self._system.url(user % 2), self._people[user].token
        return await fresh_sight(url, token, self._read[user].append)

    async def _must_agree(self, device: Device, view: View) -> None:
        await device.app.equals(view)
        assert sorted(device.told()) == sorted(device.seen), f"what user {device.user} was told of its sight"

    def _of(self, user: int) -> Iterator[Device]:
        return (device for device in self._devices if device.user == user and device.here)

    # Trying.

    async def _try(self, user: int, method: str, **params: Any) -> Any:
        """The result; None when it is refused, which must leave everything as it was."""
        self.tried.add(method)
        try:
            result = await self._clients[user].call(method, **params)
        except RpcError as error:
            if error.reason not in _REFUSED:
                raise
            return None
        self.done.add(method)
        return result

    async def _change(self, user: int, method: str, **params: Any) -> bool:
        return await self._try(user, method, server_id=self._id, **params) is not None

    def _pick(self, among: Sequence[T], number: int) -> T | None:
        return among[number % len(among)] if among else None

    def _a_channel(self, step: Step) -> str | None:
        return self._pick(list(self._server.channels), step.target)

    def _a_role(self, number: int) -> str | None:
        return self._pick([role for role in self._server.roles if role != self._server.everyone], number)

    # Devices and processes.

    async def _go(self, step: Step) -> None:
        """A device goes with its cache; another of its user may stay."""
        device = self._devices[step.target % len(self._devices)]
        if device.here:
            device.cache = device.app.save(self._directory / f"cache-{next(self._numbers)}")
            await device.app.close()

    async def _come(self, step: Step) -> None:
        """It comes back, on the other gateway."""
        away = [device for device in self._devices if not device.here]
        device = self._pick(away, step.target)
        if device is None or device.cache is None:
            return
        cache, device.cache, device.gateway = Cache.load(device.cache), None, 1 - device.gateway
        device.app = await App.connect([self._system.url(device.gateway)], self._people[device.user].token, cache)
        await device.app.equals(await fresh_sight(self._system.url(device.gateway), self._people[device.user].token))
        device.seen, device.told_before = [], len(device.app.recording.traffic.told)

    async def _lag(self, step: Step) -> None:
        """A process stands still for a moment, and goes on behind all others."""
        name = self._pick(self._system.names, step.target)
        if name is None or self._paused:
            return
        self._system.signal(name, signal.SIGSTOP)

        async def go_on() -> None:
            await asyncio.sleep(0.05 + step.other % 250 / 1000)
            self._system.signal(name, signal.SIGCONT)

        self._paused.append(asyncio.create_task(go_on()))

    async def _trail(self, step: Step) -> None:
        """To the gateways news of the server, and of what users have, come late for a while: behind all others."""
        subjects = [f"ev.server.{self._id}", *(f"ev.self.{person.id}" for person in self._people)]
        for proxy, late in zip(self._proxies, (step.target, step.other), strict=True):
            for subject in subjects:
                proxy.delay_hints(subject, 0.05 + late % 250 / 1000)
                self._trailing.append((proxy, subject))


def _frame(item: Received) -> Frame:
    """What came from the other side, as it came to a client that takes frames apart."""
    if isinstance(item, Event):
        return {"method": item.method, "params": item.params}
    return {"result": item.result, "error": str(item.error)}
