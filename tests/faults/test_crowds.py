"""Thousands of clients at once: sent elsewhere by a rolling restart, all coming back, some who read too slowly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
import uvloop
from guildwire import Client
from guildwire.state import Phase

from tests.faults.crowds import crowds, seconds_until, spread
from tests.faults.metrics import metrics, share_below, total
from tests.faults.rows import sized
from tests.rig import System
from tests.secured import overstepped

WINDOW = sized(3.0, 40.0)
RESTARTED, RETURNING = sized(60, 3000), sized(100, 5000)
HANDSHAKES, AUTHENTICATIONS = sized((5, 4), (60, 24))
"""A second and at once, of each gateway: all of them share one small machine with the services and the clients."""

ALL_TRIED, ALL_ONLINE = sized(30.0, 10.0), 60.0
LAG = 0.25

LOOP = uvloop.new_event_loop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(240, 1800)), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Without links, which would share a core with all these clients."""
    replicas = dict.fromkeys(("guilds", "messages", "presence"), 2)
    entrance = {
        "HANDSHAKE_RATE": str(HANDSHAKES),
        "HANDSHAKE_RATE_PER_ADDRESS": str(100 * HANDSHAKES),  # all come from one here
        "AUTHENTICATIONS": str(AUTHENTICATIONS),
    }
    env = {"gateway": {"DRAIN_SECONDS": str(WINDOW), **entrance}}
    with System(tmp_path_factory.mktemp("crowds"), gateways=3, replicas=replicas, env=env, secured=True) as running:
        yield running
        assert overstepped(running.directory / "log") == []


@pytest.mark.row(8)
async def test_rolling_restart(system: System, figures: dict[str, str]) -> None:
    async with crowds(system, RESTARTED) as there:
        there.talk(per_second=sized(10, 30))
        lasted: list[float] = []
        parts = [0, 0, 0, 0]
        for number, name in enumerate(system.gateways):
            url = system.url(number)
            leaving = [client for client in there.clients if client.state.url == url]
            began = time.monotonic()
            moments: list[float] = []
            watches = [asyncio.create_task(_note_leaving(client, began, moments)) for client in leaving]
            await system.terminate(name)
            lasted.append(time.monotonic() - began)
            await asyncio.gather(*watches)
            parts = [before + now for before, now in zip(parts, spread(moments, max(moments)), strict=True)]
            await system.launch(name)
        await seconds_until(lambda: there.online == len(there.clients), "all are online", ALL_ONLINE)
        said = await there.hush()
        await there.all_have_all()
        figures["clients"] = str(len(there.clients))
        figures["acknowledged"] = f"{said}, none lost"
        figures["drains"] = f"of {WINDOW:.0f} s lasted at most {max(lasted):.1f} s"
        figures["left in each quarter of the drain"] = ", ".join(f"{part / sum(parts):.0%}" for part in parts)
        assert max(lasted) < WINDOW + sized(3.0, 0.0)
        assert min(parts) > sum(parts) / sized(20, 8)
        assert max(parts) < sum(parts) / sized(1, 2)


async def _note_leaving(client: Client, began: float, moments: list[float]) -> None:
    await client._status.until(lambda state: state.phase is not Phase.ONLINE)
    moments.append(time.monotonic() - began)


@pytest.mark.row(9)
async def test_all_come_back_at_once(system: System, figures: dict[str, str]) -> None:
    async with crowds(system, RETURNING) as there:
        for name in system.gateways:
            system.env[name] = {**system.env.get(name, {}), "LIMITS": "on"}
        before = time.monotonic()
        await asyncio.gather(*(system.kill(name) for name in system.gateways))
        await system.launch(*system.gateways)
        up = time.monotonic()
        await seconds_until(lambda: there.online == len(there.clients), "all are online", 2 * ALL_ONLINE)
        took = time.monotonic() - up
        read = await asyncio.to_thread(metrics, system, system.gateways)
        entities = total(read, "guildwire_gateway_request_seconds_count", lambda labels: "method=get_" in labels)
        refused = total(read, "guildwire_requests_refused_total", lambda labels: "why=handshake" in labels)
        punctual = share_below(read, "guildwire_loop_lag_seconds", LAG)
        there.talk(per_second=20)
        await asyncio.sleep(3)
        await there.hush()
        await there.all_have_all()
        tried, told = there.tried_since(before)
        away = f"gateways away for {up - before:.1f} s"
        figures["clients"] = f"{len(there.clients)}, {away}, all at the door within {tried:.1f} s"
        figures["all online"] = f"{took:.1f} s after they were up"
        figures["reads of entities"] = f"{entities:.0f}"
        allowed = f"{HANDSHAKES} a second and {AUTHENTICATIONS} at once"
        later = f"{len(told)}, after {min(told, default=0):.0f} to {max(told, default=0):.0f} s"
        figures["handshakes told to come later"] = f"{later}, with {allowed} for each gateway"
        figures[f"loop lag ≤ {LAG * 1000:.0f} ms"] = f"{punctual:.1%}"
        assert took < ALL_ONLINE
        assert entities < len(there.clients) / 20
        assert tried < ALL_TRIED
        assert refused >= len(told) > 0
        assert punctual > sized(0.9, 0.99)
