"""The devices of the property test: they come and go, with caches on disk, while the system restarts and forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guildwire import Cache

from tests.app import App
from tests.pruning import prune
from tests.reads import Reads
from tests.rig import Person, System
from tests.system.coming_back import absence, assert_proportional
from tests.view import View

DEVICES = ((0, 0), (0, 1), (1, 1), (1, 0), (2, 1))
"""Each a user and the gateway it starts on."""


@dataclass(frozen=True)
class Step:
    """What one device does; `target` picks what it does it to, among what there is by then.

    While a device is away, another of its user does it.
    """

    kind: str
    device: int
    target: int
    text: str


@dataclass(frozen=True)
class Away:
    """A cache on disk, and the gateway it was not connected to: it is to come back there."""

    cache: Path
    gateway: int


@dataclass
class Devices:
    """`apps` are those that are here, by their number. What one step changes in it holds from the next moment on."""

    system: System
    directory: Path
    people: Sequence[Person] = ()
    apps: dict[int, App] = field(default_factory=dict)
    away: dict[int, Away] = field(default_factory=dict)
    restarted: bool = False
    """Once in each life of the people: a restart takes seconds."""
    came_back: int = 0
    _moving: set[int] = field(default_factory=set)
    _closing: list[App] = field(default_factory=list)

    async def begin(self, people: Sequence[Person]) -> None:
        self.people = people
        apps = await asyncio.gather(*(self.connected(number, gateway) for number, (_, gateway) in enumerate(DEVICES)))
        self.apps = dict(enumerate(apps))

    async def connected(self, number: int, gateway: int, cache: Cache | None = None) -> App:
        urls = [self.system.url(gateway), self.system.url(1 - gateway)]
        return await App.connect(urls, self.people[DEVICES[number][0]].token, cache)

    def present(self, number: int) -> int | None:
        """The device, or another of its user that is here."""
        users = [number, *(each for each, (user, _) in enumerate(DEVICES) if user == DEVICES[number][0])]
        return next((each for each in users if each in self.apps), None)

    async def equal(self, views: Sequence[View]) -> None:
        """Every device that is here has in its cache what its user sees."""
        await asyncio.gather(*(app.equals(views[DEVICES[number][0]]) for number, app in self.apps.items()))

    async def after(self) -> None:
        """The moment is over: who went or was replaced in it is heard no more."""
        closing, self._closing = self._closing, []
        self._moving.clear()
        self.apps = {number: app for number, app in self.apps.items() if number not in self.away}
        await asyncio.gather(*(app.close() for app in closing))

    async def end(self) -> None:
        await self.after()
        await asyncio.gather(*(app.close() for app in self.apps.values()))
        self.apps.clear()

    # Steps.

    async def go(self, step: Step) -> None:
        """Saves its cache in the middle of what happens at the same time; what it hears later is lost with it."""
        if not self._may_move(step.device):
            return
        await asyncio.sleep(step.target / 1000)
        app = self.apps[step.device]
        here = self.system.url(0) == app.client.state.url
        self.away[step.device] = Away(app.save(self.directory / f"cache-{step.device}"), gateway=int(here))
        self._closing.append(app)

    async def renew(self, step: Step) -> None:
        """Comes anew, with nothing, on either gateway."""
        if self._may_move(step.device):
            before = self.apps[step.device]
            self.apps[step.device] = await self.connected(step.device, step.target % 2)
            self._closing.append(before)

    def _may_move(self, number: int) -> bool:
        free = number in self.apps and number not in self._moving
        self._moving.add(number)
        return free

    async def come(self, step: Step) -> None:
        """One of those away comes back, whatever else happens."""
        waiting = sorted(self.away.keys() - self._moving)
        if waiting:
            number = waiting[step.target % len(waiting)]
            self._moving.add(number)
            await self._come(number)

    async def come_alone(self, step: Step, views: Sequence[View]) -> None:
        """The same, while nothing else happens: so all that is read is read for it."""
        if not self.away:
            return
        number = sorted(self.away)[step.target % len(self.away)]
        view = views[DEVICES[number][0]]
        missed = absence(self.system.db, Cache.load(self.away[number].cache), view)
        with Reads(self.system.db) as reads:
            app = await self._come(number)
            await app.equals(view)
        assert_proportional(app, reads, missed)

    async def _come(self, number: int) -> App:
        away = self.away[number]
        app = await self.connected(number, away.gateway, Cache.load(away.cache))
        del self.away[number]
        self.apps[number] = app
        self.came_back += 1
        return app

    async def restart(self, step: Step) -> None:
        """Every gateway and every service ends, by SIGKILL, by SIGTERM or some so and some so, and starts anew."""
        if self.restarted:
            return
        self.restarted = True
        ends = (self.system.kill, self.system.terminate)
        ways = [step.target // 2 + index * (step.target % 2) for index in range(len(self.system.names))]
        pairs = zip(self.system.names, ways, strict=True)
        await asyncio.gather(*(ends[way % 2](name) for name, way in pairs))
        await self.system.launch(*self.system.names)
        for app in self.apps.values():
            app.client.hurry()  # how long it waits by itself is not what this is about

    async def prune(self, _step: Step) -> None:
        await prune(self.system)
