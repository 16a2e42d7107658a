"""Messages per second through two replicas, with each channel's requests going to one of them, and with any to either.

The requests go out by the gateway's own `Upstream`, but from here: on a machine of few cores, gateways and sockets
would take most of the time, the same either way, and hide what affinity does to the services. Both ways take turns
before the same services, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass, field

from bench.system import Bench, System, quantile
from services.gateway.upstream import Upstream
from shared.affinity import ANNOUNCE_EVERY
from shared.bus import Bus
from shared.protocol.account import REGISTER, Register
from shared.protocol.channel import ADD_CHANNEL, AddChannel
from shared.protocol.message import ADD_MESSAGE, AddMessage
from shared.protocol.server import ADD_SERVER, AddServer
from shared.settings import Settings

SYSTEM = System(gateways=0, replicas=2)
CHANNELS = 100
WRITERS = 200
ROUNDS = 4
WARM = 0.5
SECONDS = 3.0


@dataclass
class Way:
    """Sending by `upstream`, and what that has reached: a rate per round, and all times."""

    upstream: Upstream
    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def __str__(self) -> str:
        return f"{self.rate:.0f}/s (p50 {quantile(self.times, 0.5):.1f} ms, p99 {quantile(self.times, 0.99):.1f} ms)"


async def measure(bench: Bench) -> str:
    settings = Settings(name="bench", nats_url=bench.nats.url)
    bus = Bus(settings, "gateway")
    await bus.connect()
    on, off = (Way(Upstream(bus, settings.model_copy(update={"affinity": affinity}))) for affinity in ("on", "off"))
    await on.upstream.hear_replicas()
    await asyncio.sleep(2 * ANNOUNCE_EVERY)
    place = await _place(on.upstream)
    for _ in range(ROUNDS):
        for way in (on, off):
            await _write(way, place, WARM)
            times = await _write(way, place, SECONDS)
            way.rates.append(len(times) / SECONDS)
            way.times.extend(times)
    await bus.close()
    return f"add_message by {WRITERS} writers: affinity on {on}, off {off}; ratio {on.rate / off.rate:.2f}"


@dataclass(frozen=True)
class Place:
    """Whose messages they are, and where they go."""

    user_id: str
    channels: list[str]


async def _place(upstream: Upstream) -> Place:
    user_id = (await upstream.call(REGISTER, Register(name="bench", password="bench bench"))).user.id
    server = await upstream.call(ADD_SERVER, AddServer(name="Bench"), user_id)
    names = [f"bench-{number}" for number in range(CHANNELS)]
    added = [await upstream.call(ADD_CHANNEL, AddChannel(server_id=server.id, name=name), user_id) for name in names]
    return Place(user_id, [channel.id for channel in added])


async def _write(way: Way, place: Place, seconds: float) -> list[float]:
    """Each writer goes on in the next channel as soon as its last message is acknowledged; how long each took."""
    channels = itertools.cycle(place.channels)
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def writer() -> None:
        while (began := time.perf_counter()) < end:
            channel_id = next(channels)
            message = AddMessage(channel_id=channel_id, content="x" * 100).model_dump_json().encode()
            until = time.monotonic() + way.upstream.patience(ADD_MESSAGE)
            await way.upstream.forward(
                ADD_MESSAGE, message, user_id=place.user_id, session_id="", until=until, key=channel_id
            )
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    return times
