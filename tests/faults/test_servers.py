"""MongoDB's primary, NATS's nodes, and a whole zone, killed or cut off while people talk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from deploy.processes import wait_all_ready
from tests.faults.installation import Installation
from tests.faults.links import Link
from tests.faults.metrics import metrics, total
from tests.faults.rows import sized
from tests.faults.traffic import quantile, traffic
from tests.manifests.replica_set import Member

PEOPLE, VOICES = sized(12, 60), 12
RATE = sized(30, 60)
KILLS = sized(1, 5)
WRITES_BACK, RECONNECTED = 15.0, sized(10.0, 5.0)
DEADLINE = 9.0
"""Seconds: what a request may take, and something for a busy machine."""

INTEREST_BACK, HEALED = 3.0, 5.0
NATS_AWAY, POOR = sized(10.0, 30.0), sized(5.0, 30.0)
SLOW = 0.02

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(180, 900)), pytest.mark.asyncio(loop_scope="module")]


async def again(*children: Member) -> None:
    """Starts what was killed."""
    for child in children:
        child.start()
    await asyncio.to_thread(wait_all_ready, children, 60)


@pytest.mark.row(3)
async def test_primary_killed(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, VOICES)
        back: list[float] = []
        for _ in range(KILLS):
            await busy.has_said(2 * RATE)
            primary = await asyncio.to_thread(everything.mongo.primary)
            killed = time.monotonic()
            await asyncio.to_thread(primary.kill)
            await busy.all_say(after=killed, patience=4 * WRITES_BACK)
            back.append(busy.said_again(killed))
            await again(primary)
        await busy.all_is_well(figures)
        longest = busy.longest_answer
        figures["kills"] = str(KILLS)
        figures["writes back"] = f"after {quantile(back, 0.5):.1f} s, at most {max(back):.1f} s"
        figures["slowest answer"] = f"{longest:.1f} s"
        assert max(back) < WRITES_BACK
        assert longest < DEADLINE


@pytest.mark.row(4)
async def test_nats_node_killed(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        sockets = busy.sockets
        busy.talk(RATE, VOICES)
        back: list[float] = []
        for node in everything.nats.nodes:
            await busy.has_said(2 * RATE)
            killed = time.monotonic()
            await asyncio.to_thread(node.kill)
            await busy.all_hear(after=killed)
            back.append(busy.heard_again(killed))
            node.start()
            await asyncio.to_thread(node.wait_ready)
        assert busy.sockets == sockets, "no socket was closed"
        await busy.all_is_well(figures)
        figures["interest back"] = f"after {quantile(back, 0.5):.2f} s, at most {max(back):.2f} s"
        assert max(back) < INTEREST_BACK


@pytest.mark.row(4)
@pytest.mark.parametrize("gone", [Link.cut, Link.hold], ids=["cut", "silent"])
async def test_nats_gone(everything: Installation, gone: Callable[[Link], None], figures: dict[str, str]) -> None:
    """With all connections cut, or with nothing said on those there are."""
    async with traffic(everything, PEOPLE) as busy:
        sockets = busy.sockets
        busy.talk(RATE, VOICES)
        await busy.has_said(2 * RATE)
        await everything.on_nats_links(gone)
        ends = time.monotonic() + NATS_AWAY
        while time.monotonic() < ends:
            await asyncio.gather(*(one.app.client.call("ping", {}, patience=0) for one in busy.everybody))
            await asyncio.sleep(1)
        await everything.on_nats_links(Link.restore)
        restored = time.monotonic()
        await busy.all_say(after=restored)
        await busy.hush()
        await busy.all_is_told()
        healed = time.monotonic() - restored
        assert busy.sockets == sockets, "the sockets stay"
        await busy.all_is_well(figures)
        figures["NATS"] = f"{gone.__name__} for {NATS_AWAY:.0f} s"
        figures["equal"] = f"{healed:.2f} s after it was back"
        assert healed < HEALED


@pytest.mark.row(4)
async def test_one_gateway_hears_nothing(everything: Installation, figures: dict[str, str]) -> None:
    """Its connections stand, and nothing comes through; all others go on, and change what its clients have loaded."""
    async with traffic(everything, PEOPLE) as busy:
        sockets = busy.sockets
        deaf = [one for one in busy.everybody if one.url == everything.url(0)]
        busy.talk(RATE, VOICES)
        await busy.has_said(2 * RATE)
        await everything.on_nats_links(Link.hold, "gateway-0")
        held = time.monotonic()
        await asyncio.sleep(NATS_AWAY)
        missed = sum(said.asked > held for said in busy.said.values())
        await everything.on_nats_links(Link.restore, "gateway-0")
        restored = time.monotonic()
        await busy.all_hear(after=restored)
        await busy.hush()
        await busy.all_is_told()
        healed = time.monotonic() - restored
        assert busy.sockets == sockets, "the sockets stay"
        assert deaf
        assert missed > RATE, "others have gone on"
        await busy.all_is_well(figures)
        figures["one gateway"] = f"deaf for {NATS_AWAY:.0f} s, its clients equal {healed:.2f} s later"
        assert healed < HEALED


Fault = Callable[[Installation], Sequence[Callable[[], None]]]


def slow(everything: Installation) -> Sequence[Callable[[], None]]:
    """Each piece takes 20 ms each way: between services and MongoDB, all parts and NATS, NATS's nodes."""
    return [partial(link.delay, SLOW) for link in everything.links]


def one_way(everything: Installation) -> Sequence[Callable[[], None]]:
    """Nobody hears the replica that writes, which hears them, nor one of NATS's nodes, whichever came to the other."""
    routes = everything.nats.routes
    mute = [partial(link.hold, back=False) for link in (*everything.to_nats[_who_writes(everything)], *routes[0])]
    return [*mute, *(partial(others[0].hold, there=False) for others in routes[1:])]


def _who_writes(everything: Installation) -> str:
    """The replica that adds most of a second's messages."""
    replicas = [name for name in everything.names if name.startswith("messages-")]
    before = {name: _added_by(everything, name) for name in replicas}
    time.sleep(1)
    return max(replicas, key=lambda name: _added_by(everything, name) - before[name])


def _added_by(everything: Installation, name: str) -> float:
    requests = metrics(everything, [name])
    return total(requests, "guildwire_requests_seconds_count", lambda labels: "method=add_message" in labels)


def parted(everything: Installation) -> Sequence[Callable[[], None]]:
    """One of NATS's nodes has lost the others and keeps its clients; nobody comes to MongoDB's primary."""
    routes, mongo = everything.nats.routes, everything.mongo
    to_primary = everything.to_mongo[mongo.members.index(mongo.primary())]
    return [link.cut for link in (to_primary, *routes[0], *(others[0] for others in routes[1:]))]


@pytest.mark.row(4)
@pytest.mark.parametrize("fault", [slow, one_way, parted])
async def test_network_is_poor(everything: Installation, fault: Fault, figures: dict[str, str]) -> None:
    """Whatever it does to those who ask meanwhile, all is well when it is over."""
    async with traffic(everything, PEOPLE) as busy:
        sockets = busy.sockets
        busy.talk(RATE, VOICES)
        await busy.has_said(2 * RATE)
        breaks = await asyncio.to_thread(fault, everything)
        await asyncio.gather(*(asyncio.to_thread(each) for each in breaks))
        broken = time.monotonic()
        await asyncio.sleep(POOR)
        worse = time.monotonic()
        await asyncio.gather(*(asyncio.to_thread(link.restore) for link in everything.links))
        restored = time.monotonic()
        await busy.all_say(after=restored, patience=2 * WRITES_BACK)
        await busy.hush()
        await busy.all_is_told()
        healed = time.monotonic() - restored
        assert busy.sockets == sockets, "the sockets stay"
        await busy.all_is_well(figures)
        lags = busy.lags(broken, worse)
        again = f"{len(busy.troubles)} requests had to be repeated"
        usually, longest = quantile(lags, 0.5), max(lags)
        heard = f"heard after {usually:.2f} s, at most {longest:.1f}"
        figures[f"network {fault.__name__}"] = f"for {POOR:.0f} s, {again}, {heard}"
        figures["equal"] = f"{healed:.2f} s after it was well"
        assert usually > 4 * SLOW if fault is slow else longest > 1, "it was felt"
        assert healed < HEALED


@pytest.mark.row(18)
async def test_zone_gone(everything: Installation, figures: dict[str, str]) -> None:
    """The primary's zone, at the same moment."""
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, VOICES)
        await busy.has_said(2 * RATE)
        primary = await asyncio.to_thread(everything.mongo.primary)
        processes = ["gateway-0", "guilds-0", "messages-0", "presence-0"]
        url = everything.url(0)
        gone = [asyncio.create_task(one.absence()) for one in busy.everybody if one.url == url]
        killed = time.monotonic()
        for child in (primary, everything.nats.nodes[0], *(everything.processes[name] for name in processes)):
            child.kill()
        await busy.all_say(after=killed, patience=4 * WRITES_BACK)
        back = busy.said_again(killed)
        absences = await asyncio.gather(*gone)
        await busy.all_hear(after=killed + back)
        heard = busy.heard_again(killed + back)
        node = everything.nats.nodes[0]
        node.start()
        await again(primary)
        await everything.launch(*processes)
        await busy.all_is_well(figures)
        figures["writes back"] = f"after {back:.1f} s, heard by all within {heard:.2f} s more"
        figures["slowest answer"] = f"{busy.longest_answer:.1f} s"
        figures["reconnected p99"] = f"{quantile(absences, 0.99):.2f} s of {len(absences)} clients"
        assert back < WRITES_BACK
        assert heard < sized(RECONNECTED, INTEREST_BACK)
        assert busy.longest_answer < DEADLINE
        assert absences
        assert quantile(absences, 0.99) < RECONNECTED
