"""NATS cut off, frozen, killed, or losing hints: when it is over, everybody's cache is right again within 5 s.

Meanwhile people go on talking, on all gateways; no socket is closed, and nothing said is lost or doubled.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.cache import Device
from tests.faults.crowd import PATIENCE, Crowd, quantiles
from tests.faults.links import Links
from tests.faults.proxy import Faults, Proxy
from tests.faults.rows import FULL
from tests.rig import People, System, eventually, join, refused

CHANNELS = 3
BEHIND_PROXY = "messages-0"
OUTAGE, FREEZE, DOWN = 10.0, 9.0, 3.0
DIGESTING = 2
"""The gateway that compares all heads every second; the others never come to it."""

SECOND_LOOK = 1.5
"""After so long a gateway no longer looks again, unasked, at a scope that it has begun to follow."""

FAULTS_OF_A_KIND = 40

logger = logging.getLogger(__name__)
large = pytest.mark.skipif(not FULL, reason="small runs do this to a whole installation instead: rows 4 and 6")


@dataclass(frozen=True)
class Proxied:
    """A system whose gateways, and one of whose services, each reach NATS through a proxy of their own."""

    system: System
    proxies: list[Proxy]
    """The gateways', by number."""
    services_proxy: Proxy


@dataclass(frozen=True)
class Scene:
    """`ann` owns a server, `bob` is a member of it; each is on every gateway."""

    crowd: Crowd
    proxies: list[Proxy]
    services_proxy: Proxy
    ann: list[Device]
    bob: list[Device]
    server_id: str
    channels: list[str]

    async def talk(self, messages: int = 30) -> None:
        """All begin to talk; returns after so many messages."""
        for number, device in enumerate(self.crowd.devices):
            self.crowd.talk(device, self.channels[number % CHANNELS])
        await self.crowd.has_said(messages)

    async def come_together(self, since: float) -> float:
        """While the talk goes on they hear what they missed; and when it ends, they know everything.

        Returns the seconds until they had heard what they missed.
        """
        took = await self.crowd.catch_up(since)
        logger.info("caught up %.3f s after the fault", took)
        await self.crowd.hush()
        await self.crowd.settle()
        await self.crowd.catch_up(time.monotonic())
        await self.crowd.agree()
        await self.crowd.nothing_is_lost_or_doubled()
        logger.info("from acknowledgement to everybody %s", quantiles(self.crowd.lags))
        return took


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Proxied]:
    system = System(tmp_path_factory.mktemp("proxied"), mongod, gateways=3, replicas={"messages": 2})
    with ExitStack() as stack:
        stack.callback(system.stop)
        system.start_servers()
        links = stack.enter_context(Links())
        *proxies, services_proxy = [links.add(Proxy(links, system.nats.port, seed)) for seed in range(4)]
        system.env[BEHIND_PROXY] = {"NATS_URL": services_proxy.url}
        for number, proxy in enumerate(proxies):
            digest = "1" if number == DIGESTING else "3600"
            system.env[f"gateway-{number}"] = {"NATS_URL": proxy.url, "DIGEST_INTERVAL": digest}
        system.launch_now(*system.names)
        stack.callback(system.stop)
        yield Proxied(system, proxies, services_proxy)


@pytest_asyncio.fixture
async def scene(proxied: Proxied) -> AsyncIterator[Scene]:
    for proxy in proxied.proxies:
        proxy.faults = Faults()
    people = People(proxied.system)
    persons = await people.several("ann", "bob")
    ann, bob = [[await people.device(person, gateway) for gateway in range(3)] for person in persons]
    server_id = (await ann[0].client.call("add_server", name="Tea house"))["id"]
    await join(ann[0].client, bob[1].client, server_id)
    made = [
        await ann[0].client.call("add_channel", server_id=server_id, name=f"channel {number}")
        for number in range(CHANNELS)
    ]
    crowd = Crowd(proxied.system, ann + bob)
    await asyncio.gather(*(device.load() for device in crowd.devices))
    channels = [channel["id"] for channel in made]
    yield Scene(crowd, proxied.proxies, proxied.services_proxy, ann, bob, server_id, channels)
    await crowd.disperse()
    await people.close()


async def until(moment: float) -> None:
    await asyncio.sleep(moment - time.monotonic())


@pytest.mark.slow
async def test_one_gateway_is_cut_off_from_nats(scene: Scene) -> None:
    """A channel is added meanwhile, and written to: the gateway hears of it afterwards, in that order."""
    crowd, cut_off = scene.crowd, scene.bob[1]
    crowd.patience = OUTAGE + PATIENCE
    await scene.talk()
    scene.proxies[1].cut()
    restored = time.monotonic() + OUTAGE
    asked = time.monotonic()
    assert (await refused(cut_off.client.call("get_server", server_id=scene.server_id))).reason == "unavailable"
    assert time.monotonic() - asked < PATIENCE
    made = await scene.ann[0].client.call("add_channel", server_id=scene.server_id, name="meanwhile")
    for device in (scene.ann[0], scene.bob[2]):
        await device.client.event("channel_added")
        await crowd.say(device, made["id"])
    await until(restored)
    assert made["id"] not in cut_off.cache.channels
    scene.proxies[1].restore()
    assert await scene.come_together(time.monotonic()) < PATIENCE


@pytest.mark.slow
async def test_one_service_is_cut_off_from_nats(scene: Scene) -> None:
    """It has committed what it can neither publish nor acknowledge; the other replica does both in its place."""
    await scene.talk()
    scene.services_proxy.cut()
    cut = time.monotonic()
    await until(cut + 1)
    await scene.crowd.catch_up(cut)
    await until(cut + DOWN)
    scene.services_proxy.restore()
    assert await scene.come_together(time.monotonic()) < PATIENCE


async def frozen(system: System) -> None:
    """Nothing answers, no connection ends; nats-py gives up after a while and finds nobody who greets it."""
    os.kill(system.nats.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FREEZE)
    finally:
        os.kill(system.nats.pid, signal.SIGCONT)


async def killed(system: System) -> None:
    """Everything it knew is gone: whoever comes back must subscribe anew."""
    await asyncio.to_thread(system.nats.kill)
    await asyncio.sleep(DOWN)
    await asyncio.to_thread(system.nats.start)


@pytest.mark.slow
@large
@pytest.mark.parametrize("outage", [frozen, killed])
async def test_nats_server_itself_is_gone_for_a_while(
    scene: Scene, outage: Callable[[System], Awaitable[None]]
) -> None:
    scene.crowd.patience = FREEZE + PATIENCE
    await scene.talk()
    going = asyncio.ensure_future(outage(scene.crowd.system))
    while not going.done():
        await asyncio.gather(*(device.client.call("ping") for device in scene.crowd.devices))
        await asyncio.wait({going}, timeout=0.5)
    await going
    assert await scene.come_together(time.monotonic()) < PATIENCE


@pytest.mark.slow
@large
async def test_hints_are_lost_doubled_and_swapped(scene: Scene) -> None:
    before = [proxy.done.copy() for proxy in scene.proxies]

    def done(fate: str) -> int:
        return sum(proxy.done[fate] - old[fate] for proxy, old in zip(scene.proxies, before, strict=True))

    for proxy in scene.proxies:
        proxy.faults = Faults(lost=0.02, doubled=0.02, swapped=0.02)
    await scene.talk()
    for fate in ("lost", "doubled", "swapped"):
        await eventually(lambda fate=fate: done(fate) >= FAULTS_OF_A_KIND, f"enough hints {fate}", 40)  # type: ignore[misc]
    assert await scene.come_together(time.monotonic()) < PATIENCE


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "at_least"), [(1, 0.7), (2, 3.4)])
async def test_the_very_last_hints_are_lost(scene: Scene, lost: int, at_least: float) -> None:
    """The hint of a scope's last change, and then also the first repetition of its head."""
    crowd, ann, bob = scene.crowd, scene.ann[0], scene.bob[1]
    await asyncio.sleep(SECOND_LOOK)
    last = {
        f"ev.channel.{scene.server_id}.{scene.channels[0]}": crowd.say(bob, scene.channels[0]),
        f"ev.server.{scene.server_id}": ann.client.call("add_channel", server_id=scene.server_id, name="last"),
        f"ev.self.{ann.cache.user_id}": ann.client.call("add_server", name="last"),
    }
    for subject in last:
        for proxy in scene.proxies:
            proxy.lose_next(subject, lost)
    _, made, _ = await asyncio.gather(*last.values())
    changed = time.monotonic()
    hearers = [device for device in crowd.devices if device not in (scene.ann[DIGESTING], scene.bob[DIGESTING])]
    added = {"scope": f"server:{scene.server_id}", "rev": made["rev"]}
    heard = await asyncio.gather(*(device.client.event("channel_added", **added) for device in hearers))
    assert all(event.at - changed > at_least for event in heard)
    assert await scene.come_together(changed) < PATIENCE


@pytest.mark.slow
async def test_the_digest_finds_what_no_hint_ever_told(scene: Scene) -> None:
    scene.proxies[DIGESTING].faults = Faults(lost=1)
    await scene.talk(100)
    assert await scene.come_together(time.monotonic()) < PATIENCE
