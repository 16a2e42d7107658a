"""Presence and gateways, as far as leases go: production's code on the simulated database, network and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from shared.errors import GuildwireError, LostRace, Unavailable
from shared.protocol.lease import ENTER_USER, KEEP_LEASE, REPORT_USERS
from shared.settings import Settings
from tests.model.database import Database
from tests.model.driver import Driver
from tests.model.loop import Process
from tests.model.network import Bus, Network, Respond
from tests.model.production import Production
from tests.model.replica import EPOCH, reply
from tests.model.world import World

_METHODS = {method.name: method for method in (KEEP_LEASE, ENTER_USER, REPORT_USERS)}
_WITHIN = 2.5
_PAUSE = 0.05
_OVERDUE = 14.0


class Presence:
    """A replica: it answers gateways, watches their leases, and works off what their ends leave behind."""

    def __init__(self, world: World, production: Production, database: Database, network: Network, name: str) -> None:
        self.process = Process(name)
        self.bus = Bus(network, self.process)
        self._world = world
        self._production = production
        store = production.store_on(Driver(world, database, name))
        epoch = production.modules["shared.epoch"].Epoch(store)
        epoch.value = EPOCH  # read before a process serves
        settings = Settings(name=name)
        journal = production.journal.Journal(store, self.bus, settings, "presence", epoch)
        parts = SimpleNamespace(store=store, bus=self.bus, journal=journal, settings=settings)
        self._leases = production.presence("leases").Leases(
            parts, production.presence("status").Whereabouts(store, journal)
        )
        cascade = production.modules["shared.cascade"]
        cascades = cascade.Cascades(store, "presence", name, cascade.batches_of([self._leases]))
        for work in (journal.run(), self._leases.run(), cascades.run()):
            self._spawn(work)

    def serve(self, method: str, payload: bytes, respond: Respond) -> None:
        self._spawn(self._answer(method, payload, respond))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._world.loop.create_task(work, context=self.process.context)

    async def _answer(self, method: str, payload: bytes, respond: Respond) -> None:
        self._world.note(self.process.name, f"{method} {payload.decode()}")
        origin = self._production.journal.Origin({}, self._production.clock.monotonic() + _WITHIN)
        params = _METHODS[method].params.model_validate_json(payload)
        try:
            result = await self._until_won(method, SimpleNamespace(origin=origin), params)
        except GuildwireError as error:
            respond(reply(error.wire(), status="error"))
        except Exception as error:  # noqa: BLE001 - as the service runner: a bug is logged, and answered
            self._world.fail(f"bug in {method}: {error!r}")
        else:
            self._world.note(self.process.name, f"answers {method}: {result}")
            respond(reply(result.model_dump()))

    async def _until_won(self, method: str, call: Any, params: Any) -> Any:
        while not call.origin.expired:
            try:
                return await getattr(self._leases, method)(call, params)
            except LostRace:
                await asyncio.sleep(self._world.loop.random.uniform(0, _PAUSE))
        raise Unavailable


@dataclass(eq=False, slots=True)
class Place:
    """A user's socket on a gateway. `entered` is when the gateway was through with it."""

    user_id: str
    gateway: LeasedGateway
    connection: Any
    entered: float | None = None
    closed: float | None = None


class LeasedGateway:
    """`troubled` is until when it may be taken for dead, by what has befallen it alone."""

    def __init__(self, world: World, production: Production, network: Network, name: str) -> None:
        self.process = Process(name)
        self.bus = Bus(network, self.process)
        self.troubled = 0.0
        self._world = world
        self._production = production
        self.process.context.run(self._compose, Settings(name=name, affinity="off"))

    def _compose(self, settings: Settings) -> None:
        self._upstream = self._production.gateway("upstream").Upstream(self.bus, settings)
        self._lease = self._production.gateway("lease").Lease(self._upstream, settings)
        self.spawn(self._lease.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._world.loop.create_task(work, context=self.process.context)

    @property
    def lease(self) -> str:
        return str(self._lease._id)

    @property
    def works(self) -> bool:
        return not (self.process.dead or self.process.paused)

    def open(self, user_id: str) -> Place:
        connection = self._production.connect(None, lambda _code: None)
        connection.user_id = user_id
        place = Place(user_id, self, connection)
        self.spawn(self._enter(place))
        return place

    async def _enter(self, place: Place) -> None:
        going = place.user_id in self._lease._going
        self._world.note(place.user_id, f"comes to {self.process.name}")
        await self._lease.enter(place.connection)
        # Who comes back at the moment at which presence is told that it has gone may be gone for a while.
        place.entered = self._world.now + (_OVERDUE if going else 0.0)

    def close(self, place: Place) -> None:
        place.closed = self._world.now
        self._world.note(place.user_id, f"leaves {self.process.name}")
        self.process.context.run(self._world.loop.call_soon, self._lease.leave, place.connection)


class Services:
    """The replicas behind the network: each request goes to any of them that lives."""

    def __init__(self, world: World, production: Production, database: Database, network: Network) -> None:
        self._parts = (world, production, database, network)
        self._world = world
        self._made = 0
        self.replicas: list[Presence] = []
        network.serves = self.serve

    def start(self) -> None:
        self._made += 1
        self.replicas.append(Presence(*self._parts, f"presence-{self._made}"))

    def kill(self, replica: Presence) -> None:
        self.replicas.remove(replica)
        self._world.kill(replica.process)

    def serve(self, subject: str, payload: bytes, _headers: Mapping[str, str], respond: Respond) -> bool:
        reachable = [each for each in self.replicas if each.bus.alive]
        if not reachable:
            return False
        self._world.stream("replica").choice(reachable).serve(subject.split(".")[2], payload, respond)
        return True
