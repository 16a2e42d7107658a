"""One run with leases: users come and go on a few gateways, two replicas of presence watch, and much goes wrong.

1. Whoever has a socket on a gateway that nothing has befallen is shown online, and never offline in between: not while
   NATS or MongoDB is gone, nor while many gateways are silent at once.
2. Whoever comes back within the lease never went offline.
3. Whoever has no socket any more is shown offline within a bounded time; who was on a paused gateway is shown right
   again.
4. A lease ends only at a beat that has stood still for as long as it may. What is told is what is stored, each change
   once. In the end nothing is left of any lease that has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from shared.settings import Settings
from tests.model.database import Database, Transaction
from tests.model.loop import Violation, told
from tests.model.network import Network
from tests.model.oracle import Oracle
from tests.model.presence import LeasedGateway, Place, Services
from tests.model.production import Production
from tests.model.profile import Profile
from tests.model.replica import EPOCH
from tests.model.world import World

_USERS = 6
_LOOK = 1.0
_NORMAL = Settings()
_SETTLES = 100.0
"""Seconds after the weather has cleared up: the freeze, an expiry, and the second look of a wave."""
_RIGHT_AGAIN, _REPORTED = 35.0, 15.0


@dataclass(frozen=True)
class Weather:
    """How often what happens; `offline_within` is how long whoever is gone may be shown online."""

    name: str
    lasts: float = 60.0
    think: float = 5.0
    """Mean time between two acts of a user."""
    gateways: int = 4
    offline_within: float = 35.0
    kills: int = 0
    kills_together: int = 1
    pauses: int = 0
    pause_lasts: tuple[float, float] = (2.0, 40.0)
    cuts: int = 0
    nats_gone: int = 0
    """Times that nobody reaches NATS; the gateways come back to it over some time."""
    splits: int = 0
    """Times that NATS is gone for the gateways, but not for presence."""
    database_gone: int = 0
    watchers_killed: int = 0
    watchers_paused: int = 0
    sleeps: int = 0
    """Times that the machine sleeps, with all on it."""
    slow_database: float = 0.02
    slowest: float = 0.3
    slow: float = 0.02
    requests_lost: float = 0.0

    def profile(self) -> Profile:
        return Profile(
            f"leases-{self.name}", late=0.0, slow=self.slow, slow_database=self.slow_database, slowest=self.slowest,
            requests_lost=self.requests_lost, hints_doubled=0.0, slow_subscriptions=0.0,
        )  # fmt: skip


class Simulation:
    def __init__(self, production: Production, weather: Weather, seed: int) -> None:
        self.world = world = World(weather.profile(), seed)
        self._weather = weather
        self._production = production
        self._database = Database(world, production.store.INDEXES)
        self._network = Network(world, Oracle(world, self._database))
        self._journal = self._database.on_commit
        self._random = world.stream("weather")
        self._services = Services(world, production, self._database, self._network)
        self._gateways: list[LeasedGateway] = []
        self._made = 0
        self._places: list[Place] = []
        self._beats: dict[str, tuple[int, float]] = {}
        self._gone_since: dict[str, float] = {}
        self._away_since: dict[str, float] = {}
        self._everywhere_since = self._everywhere = 0.0
        """From when until when something was wrong that befell many."""

    def run(self) -> None:
        """Raises Violation."""
        self.world.loop.run(self._story())

    async def _story(self) -> None:
        self._begin()
        await self._bad_weather()
        self.world.note("weather", "CLEARS UP")
        self.world.calm = True
        for each in self._processes():
            self._wake(each)
            each.bus.mend()
        self._everywhere = max(self._everywhere, self.world.now + _RIGHT_AGAIN)
        await asyncio.sleep(_SETTLES)
        if wrong := self._leftovers():
            self.world.fail("; ".join(wrong))

    def _begin(self) -> None:
        users = [f"user-{number}" for number in range(_USERS)]
        profile = {"status": "online", "rev": 0, "display_name": "", "image": None, "status_text": None}
        self._database.put("users", *({"_id": each, "name": each, "present": [], **profile} for each in users))
        self._database.put("meta", {"_id": "epoch", "value": EPOCH})
        self._database.on_commit = self._committed
        self._database.on_update = self._updated
        for _ in range(2):
            self._services.start()
        for _ in range(self._weather.gateways):
            self._start_gateway()
        for user in users:
            self.world.loop.create_task(self._live(user))
        self.world.loop.create_task(self._look())

    def _start_gateway(self) -> None:
        self._made += 1
        name = f"gateway-{self._made}"
        self._gateways.append(LeasedGateway(self.world, self._production, self._network, name))

    # Users.

    async def _live(self, user: str) -> None:
        """Every other one seldom moves."""
        random = self.world.stream(user)
        pause = self._weather.think * (10 if int(user[-1]) % 2 else 1)
        await asyncio.sleep(random.uniform(0, 5))
        self._places.append(random.choice(self._gateways).open(user))
        while not self.world.calm:
            await asyncio.sleep(random.expovariate(1 / pause))
            here, working = self._open(user), [each for each in self._gateways if each.works]
            if not working:
                continue
            match random.choice(["come", "come", "blink", "move", "go"]):
                case "come" if not here:
                    self._places.append(random.choice(working).open(user))
                case "blink" if here:
                    here[0].gateway.close(here[0])
                    await asyncio.sleep(random.choice([0.0, 0.01, random.uniform(0, 9)]))
                    if again := [each for each in working if each.works]:
                        self._places.append(random.choice(again).open(user))
                case "move" if here:
                    self._places.append(random.choice(working).open(user))
                    await asyncio.sleep(random.uniform(0, 1))
                    here[0].gateway.close(here[0])
                case "go":
                    for place in here:
                        place.gateway.close(place)
                    await asyncio.sleep(random.expovariate(1 / 10))

    def _open(self, user: str) -> list[Place]:
        return [each for each in self._places if each.user_id == user and each.closed is None]

    # The weather.

    async def _bad_weather(self) -> None:
        weather, strikes = self._weather, list[tuple[float, Callable[[], None]]]()
        for number, strike in (
            (weather.kills, self._kill_gateways),
            (weather.pauses, self._pause_gateway),
            (weather.cuts, self._cut_gateway),
            (weather.nats_gone, self._nats_goes),
            (weather.splits, self._split),
            (weather.database_gone, self._database_goes),
            (weather.watchers_killed, self._kill_watcher),
            (weather.watchers_paused, self._pause_watcher),
            (weather.sleeps, self._sleep),
        ):
            strikes += [(self._random.uniform(8.0, weather.lasts - 5.0), strike) for _ in range(number)]
        for at, strike in sorted(strikes, key=lambda each: each[0]):
            await asyncio.sleep(at - self.world.now)
            strike()
        await asyncio.sleep(weather.lasts - self.world.now)

    def _kill_gateways(self) -> None:
        for gateway in self._random.sample(self._gateways, self._weather.kills_together):
            self._gateways.remove(gateway)
            self.world.kill(gateway.process)
            gateway.process.paused = False
            for place in self._places:
                if place.gateway is gateway and place.closed is None:
                    place.closed = self.world.now
        self.world.after(self._random.uniform(0, 20), self._refill)

    def _refill(self) -> None:
        while len(self._gateways) < self._weather.gateways:
            self._start_gateway()

    def _pause_gateway(self) -> None:
        gateway, lasts = self._random.choice(self._gateways), self._random.uniform(*self._weather.pause_lasts)
        self._befalls(gateway, lasts)
        self._pause(gateway, lasts)

    def _cut_gateway(self) -> None:
        gateway, lasts = self._random.choice(self._gateways), self._random.uniform(2, 40)
        self._befalls(gateway, lasts)
        gateway.bus.cut(lasts, noticed=1.0)

    def _befalls(self, gateway: LeasedGateway, lasts: float) -> None:
        """It may be taken for dead, if it is silent for so long; until its users are reported anew."""
        if lasts > _NORMAL.lease_expiry - 2 * _NORMAL.lease_beat:
            gateway.troubled = max(gateway.troubled, self.world.now + lasts + _REPORTED)

    def _nats_goes(self) -> None:
        lasts = self._random.uniform(5, 30)
        for replica in self._services.replicas:
            replica.bus.cut(lasts, noticed=self._random.uniform(0.1, 2.0))
        last, *others = self._random.sample(self._gateways, len(self._gateways))
        last.bus.cut(lasts + self._random.uniform(15.5, 17.3), noticed=1.0)
        for gateway in others:
            gateway.bus.cut(lasts + self._random.uniform(0, 8), noticed=self._random.uniform(0.1, 2.0))
        self._befalls_all(lasts + 18)

    def _split(self) -> None:
        lasts = self._random.uniform(20, 50)
        for gateway in self._gateways:
            gateway.bus.cut(lasts + self._random.uniform(0, 1), noticed=1.0)
        self._befalls_all(lasts)

    def _database_goes(self) -> None:
        lasts = self._random.uniform(5, 40)
        self.world.note("mongod", f"UNREACHABLE for {lasts:.2f} s")
        self._database.unreachable_until = self.world.now + lasts
        self._befalls_all(lasts)

    def _befalls_all(self, lasts: float) -> None:
        """Nobody may be taken for dead for it; but who comes is not heard of, nor who goes."""
        if self.world.now > self._everywhere:
            self._everywhere_since = self.world.now
        self._everywhere = max(self._everywhere, self.world.now + lasts + _RIGHT_AGAIN)

    def _kill_watcher(self) -> None:
        self._services.kill(self._random.choice(self._services.replicas))
        self.world.after(self._random.uniform(0, 10), self._services.start)

    def _pause_watcher(self) -> None:
        lasts = self._random.uniform(2, 30)
        self._pause(self._random.choice(self._services.replicas), lasts)
        self._befalls_all(lasts)

    def _sleep(self) -> None:
        lasts = self._random.uniform(20, 50)
        for each in self._processes():
            self._pause(each, lasts + self._random.uniform(0, 1))
        self._befalls_all(lasts)

    def _processes(self) -> list[Any]:
        return [*self._gateways, *self._services.replicas]

    def _pause(self, each: Any, lasts: float) -> None:
        self.world.note(each.process.name, f"PAUSED for {lasts:.2f} s")
        each.process.paused = True
        self.world.after(lasts, lambda: self._wake(each))

    def _wake(self, each: Any) -> None:
        if each.process.paused:
            self.world.note(each.process.name, "GOES ON")
            self.world.loop.go_on(each.process)

    # Whether all is well.

    def _updated(self, collection: str, document: dict[str, Any]) -> None:
        if collection == "gateways":
            self._beats[document["_id"]] = (document["beat"], self.world.now)

    def _committed(self, transaction: Transaction) -> None:
        self._journal(transaction)
        for (collection, key), document in transaction.writes.items():
            before = self._database.state.get(collection, {}).get(key)
            if document is None or before is None:
                continue
            if collection == "users":
                self._shown(before, document)
            if collection == "gateways" and "ended" in document:
                self._ended(before)

    def _ended(self, lease: dict[str, Any]) -> None:
        beat, at = self._beats.get(lease["_id"], (0, None))
        self.world.note("journal", f"lease {lease['_id']} ended at {beat}")
        if at is not None and self.world.now - at < _NORMAL.lease_expiry:
            self.world.fail(f"a lease was ended {self.world.now - at:.3f} s after a sign of life")

    def _shown(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        user = after["_id"]
        if bool(before["present"]) == bool(after["present"]):
            return
        self.world.note("journal", f"{user} is {'online' if after['present'] else 'offline'}")
        if after["present"]:
            return
        for place in (each for each in self._places if each.user_id == user):
            if (why := self._is_here(place)) is not None:
                self.world.fail(f"{user} goes offline, but {why} {place.gateway.process.name}")

    def _is_here(self, place: Place) -> str | None:
        now, gateway = self.world.now, place.gateway
        if place.entered is None or place.entered > now or gateway.process.dead or now < gateway.troubled:
            return None
        if now < self._everywhere and place.entered > self._everywhere_since - 1.0:
            return None  # who came while nobody could be told is heard of only later
        if place.closed is None:
            return "has a socket on"
        return "has only just closed its socket on" if now - place.closed < _NORMAL.status_grace - 0.1 else None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            for user in self._database.read("users", {}):
                self._check_in_time(user)

    def _check_in_time(self, user: dict[str, Any]) -> None:
        now, name, online = self.world.now, user["_id"], bool(user["present"])
        places = self._open(name)
        self._since(self._gone_since, name, online and not places)
        self._since(self._away_since, name, not online and any(now > each.gateway.troubled for each in places))
        if now < self._everywhere:
            self._gone_since.pop(name, None)
            self._away_since.pop(name, None)
        if now - self._gone_since.get(name, now) > self._weather.offline_within:
            self.world.fail(f"{name} is still shown online, at {user['present']}")
        if now - self._away_since.get(name, now) > _RIGHT_AGAIN:
            self.world.fail(
                f"{name} is still shown offline, though it is on {[each.gateway.process.name for each in places]}"
            )

    def _since(self, times: dict[str, float], name: str, wrong: bool) -> None:
        if wrong:
            times.setdefault(name, self.world.now)
        else:
            times.pop(name, None)

    def _leftovers(self) -> Iterable[str]:
        wrong = []
        for user in self._database.read("users", {}):
            name = user["_id"]
            leases = sorted({each.gateway.lease for each in self._open(name)})
            if sorted(user["present"]) != leases:
                wrong.append(f"{name} is at {user['present']}, not at {leases}")
            told = self._told(name)
            if told != ("online" if leases else "offline"):
                wrong.append(f"{name} was last told {told}, and is at {leases}")
        if ended := self._database.read("gateways", {"ended": {"$exists": True}}):
            wrong.append(f"left over: {ended}")
        if cascades := self._database.read("cascades", {}):
            wrong.append(f"left over: {cascades}")
        return wrong

    def _told(self, user: str) -> str:
        entries = self._network.oracle.entries.get(f"user:{user}", [])
        return str(entries[-1].event["facts"]["shown"]["changes"]["status"]) if entries else "offline"


def simulate(production: Production, weather: Weather, seed: int) -> Violation | None:
    """The first violation, with the way to it as its text; None when all was well."""
    simulation = Simulation(production, weather, seed)
    try:
        simulation.run()
    except Violation as violation:
        return told(f"leases {weather.name}, seed {seed}", violation, simulation.world.loop)
    return None


QUIET = Weather("quiet", requests_lost=0.0, slow=0.2, slow_database=0.2)
"""Users come and go; nothing else happens."""

RUSH = Weather("rush", lasts=30.0, think=0.7, slow_database=0.3, slowest=0.6, gateways=3)
"""They do so all the time, and the database is slow."""

DYING = Weather("dying", kills=2, pauses=1, cuts=1, watchers_killed=2, gateways=5, offline_within=100.0)
"""Gateways die, pause and are cut off, one or two of many; so do those who watch them."""

PAUSED = Weather(
    "paused", pauses=3, pause_lasts=(12.0, 19.0), gateways=6, slow_database=0.15, slowest=0.8, offline_within=100.0
)
"""A gateway goes on at the moment at which it is taken for dead."""

HALVED = Weather("halved", gateways=2, kills=1, kills_together=2, offline_within=100.0)
"""All die at once."""

BLACKOUT = Weather("blackout", lasts=90.0, nats_gone=2, database_gone=1)
"""NATS and MongoDB are gone, for everybody."""

SPLIT = Weather("split", lasts=75.0, splits=1, watchers_paused=1, offline_within=60.0)
"""Presence hears nobody, and knows of nothing that is wrong."""

ASLEEP = Weather("asleep", gateways=1, sleeps=2)
"""The machine with all on it sleeps."""

ALL = (QUIET, RUSH, DYING, PAUSED, HALVED, BLACKOUT, SPLIT, ASLEEP)
