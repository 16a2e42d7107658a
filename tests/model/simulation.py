"""One run: a small server with its users, services and gateways, some bad weather, and whether all is well after it.

The owner has two devices; so has one of the two others, who come and go. When the weather has cleared up every client
must hold all it may see within the profile's time; then each must be able to write, and all must be well once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.model import events
from tests.model.clients import Client, Lost
from tests.model.database import Database
from tests.model.events import SERVER
from tests.model.gateways import Gateway
from tests.model.loop import Violation, told
from tests.model.network import Network
from tests.model.oracle import Oracle
from tests.model.production import Production
from tests.model.profile import Profile
from tests.model.replica import EPOCH, Replica
from tests.model.services import Services
from tests.model.world import World

_DEVICES = {"owner-a": "owner", "owner-b": "owner", "bea-a": "bea", "bea-b": "bea", "cal": "cal"}
_CHANNELS = ("general", "random")
_LOOK = 0.1
_KEPT = 2.0
"""Seconds for which the journal reaches back at least, where it is pruned."""
_SETTLES = 9.0
"""Longest a request that began in bad weather may still be under way."""


class Simulation:
    def __init__(self, production: Production, profile: Profile, seed: int) -> None:
        self.world = world = World(profile, seed)
        self._profile = profile
        self._production = production
        self._database = Database(world, production.store.INDEXES)
        self._oracle = Oracle(world, self._database)
        self._network = Network(world, self._oracle)
        self._random = world.stream("weather")
        self._services: Services
        self._gateways: list[Gateway] = []
        self._gateways_made = 0
        self._clients: list[Client] = []

    def run(self) -> None:
        """Raises Violation."""
        self.world.loop.run(self._story())

    async def _story(self) -> None:
        self._begin()
        await self._bad_weather()
        self._clear_up()
        await self._until("requests end", lambda: [c.name for c in self._clients if not c.idle], within=_SETTLES)
        await self._until_well(self._profile.heals_within)
        await asyncio.gather(*(self._write_once_more(client) for client in self._clients))
        await self._until_well(self._profile.heals_within)
        await self._until("tidy", self._leftovers, within=2.0)

    # The beginning.

    def _begin(self) -> None:
        users = sorted(set(_DEVICES.values()))
        put = self._database.begin()
        for document in self._made_before(users):
            self._database.insert(put, "journal", document)
        self._database.insert(put, "servers", {"_id": SERVER, "perm_rev": 1, "num_members": len(users)})
        for user in users:
            self._database.insert(put, "members", {"user_id": user, "server_id": SERVER})
        for channel in _CHANNELS:
            self._database.insert(put, "channels", {"_id": channel})
        self._database.insert(put, "meta", {"_id": "epoch", "value": EPOCH})
        self._database.commit(put)
        self._services = Services(self.world, self._production, self._database, self._network, self._oracle)
        for _ in range(self._profile.gateways):
            self._start_gateway()
        for name, user_id in _DEVICES.items():
            client = Client(self.world, self._oracle, lambda: self._gateways, name, user_id)
            self._clients.append(client)
            self._spawn(client.live())
        self._spawn(self._change_permissions())
        self._spawn(self._watch_bounds())

    def _made_before(self, users: list[str]) -> list[dict[str, Any]]:
        added = [
            {"name": "channel_added", "to": "viewers", "params": {"channel": events.channel(name), "at": 0}}
            for name in _CHANNELS
        ]
        made = [(f"server:{SERVER}", rev, event) for rev, event in enumerate(added, 1)]
        made += [(f"self:{user}", 1, {"name": "server_added", "params": {}}) for user in users]
        base = {"within": "", "v": 1, "at": "2026-01-01T00:00:00Z", "by": {}, "last_id": 0, "perm_rev": 0}
        return [{"scope": scope, "rev": rev, "events": [event], **base} for scope, rev, event in made]

    def _start_gateway(self) -> None:
        self._gateways_made += 1
        name = f"gateway-{self._gateways_made}"
        self._gateways.append(Gateway(self.world, self._production, self._network, name))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.world.loop.create_task(work)

    # The weather.

    async def _bad_weather(self) -> None:
        profile, end = self._profile, self.world.now + self._profile.lasts
        strikes: list[tuple[float, Callable[[], None]]] = []
        for number, strike in (
            (profile.writers_killed, self._doom_replica),
            (profile.gateways_killed, self._kill_gateway),
            (profile.writers_cut, lambda: self._cut(self._services.replicas)),
            (profile.gateways_cut, lambda: self._cut(self._gateways)),
            (profile.outages, self._database_outage),
            (profile.prunings, self._prune),
        ):
            first, last = profile.strikes
            strikes += [(self._random.uniform(first, min(last, profile.lasts)), strike) for _ in range(number)]
        for at, strike in sorted(strikes, key=lambda each: each[0]):
            await asyncio.sleep(at - self.world.now)
            strike()
        await asyncio.sleep(end - self.world.now)

    def _clear_up(self) -> None:
        self.world.note("weather", "CLEARS UP")
        for replica in tuple(self._services.replicas) if self._profile.all_die else ():
            self._services.kill(replica)
        self.world.calm = True
        for bus in (*(each.bus for each in self._services.replicas), *(each.bus for each in self._gateways)):
            bus.mend()
        while len(self._services.replicas) < self._profile.writers:
            self._services.start()

    def _doom_replica(self) -> None:
        """At once, or somewhere in its next few steps: often in the middle of a commit."""
        if not self._services.replicas:
            return
        replica = self._random.choice(self._services.replicas)
        if self._random.random() < 0.5:
            self._kill(replica)
        else:
            self.world.kill_within(self._random.randint(1, 12), replica.process.name, lambda: self._kill(replica))

    def _kill(self, replica: Replica) -> None:
        self._services.kill(replica)
        self.world.after(self._random.uniform(0.1, 0.6), self._services.start)

    def _kill_gateway(self) -> None:
        gateway = self._random.choice(self._gateways)
        self._gateways.remove(gateway)
        gateway.kill()
        self._start_gateway()

    def _cut(self, processes: list[Any]) -> None:
        if processes:
            bus = self._random.choice(processes).bus
            bus.cut(self._random.uniform(0.5, 1.0) * self._profile.cut_lasts)

    def _database_outage(self) -> None:
        lasts = self._random.uniform(0.3, 1.5)
        self.world.note("mongod", f"UNREACHABLE for {lasts:.2f} s")
        self._database.unreachable_until = self.world.now + lasts

    def _prune(self) -> None:
        if self._services.replicas:
            self._random.choice(self._services.replicas).prune(_KEPT)

    async def _change_permissions(self) -> None:
        """Its answers go to nobody: what matters is the barrier that each makes."""
        while self.world.busy:
            await asyncio.sleep(self._random.expovariate(1 / self._profile.permissions_stand))
            params = b'{"rules":["view_channel"]}' if self.world.fault("permissions", "rules_change") else b"{}"
            self._services.serve("rpc.guilds.change_permissions", params, {"user": "owner"}, lambda _reply: None)

    # Whether all is well.

    async def _watch_bounds(self) -> None:
        """No feed keeps more than it may: the limit, and the entry that is next."""
        while True:
            await asyncio.sleep(_LOOK / 10)
            for gateway in self._gateways:
                limit = gateway.parts.settings.reorder_limit
                for feed in gateway.feeds():
                    if len(feed._early) > limit + 1:
                        self.world.fail(f"{gateway.process.name} keeps {sorted(feed._early)} of {feed.scope.name}")

    async def _until_well(self, within: float) -> None:
        await self._until("healed", lambda: [each for client in self._clients for each in client.missing()], within)

    async def _until(self, what: str, wrong: Callable[[], list[str]], within: float) -> None:
        until = self.world.now + within
        while found := wrong():
            if self.world.now > until:
                self.world.fail(f"not {what} within {within} s: {'; '.join(found)}")
            await asyncio.sleep(_LOOK)
        self.world.note("weather", what)

    async def _write_once_more(self, client: Client) -> None:
        until = self.world.now + self._profile.heals_within
        while not await self._write(client):
            if self.world.now > until:
                self.world.fail(f"{client.name} can write no more")
            await asyncio.sleep(_LOOK)

    async def _write(self, client: Client) -> bool:
        try:
            return await client.write_somewhere()
        except Lost:
            return False

    def _leftovers(self) -> list[str]:
        """What is kept that nobody will ever need."""
        return [
            f"{gateway.process.name} keeps {feed.scope.name}@{sorted(feed._early)} at {feed.last}"
            for gateway in self._gateways
            for feed in gateway.feeds()
            if feed._early
        ]


def simulate(production: Production, profile: Profile, seed: int) -> Violation | None:
    """The first violation, with the way to it as its text; None when all was well."""
    simulation = Simulation(production, profile, seed)
    try:
        simulation.run()
    except Violation as violation:
        return told(f"{profile.name}, seed {seed}", violation, simulation.world.loop)
    return None
