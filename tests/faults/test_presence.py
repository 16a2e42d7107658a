"""Who is shown online while gateways die, stop for a while, or NATS is gone: no ghosts, and nobody flickers."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.app import App
from tests.client import Client, Event, Received
from tests.faults.installation import Installation
from tests.faults.links import Link
from tests.faults.rows import ENV, sized
from tests.rig import People, Person, eventually

GHOSTS, RETURNING = sized(20, 300), sized(5, 30)
EXPIRY = float(ENV.get("*", {}).get("LEASE_EXPIRY", 15))
GONE = EXPIRY + 5.0
RIGHT_AGAIN = 10.0
WAVE = 10.0
PAUSED, NATS_AWAY = 2 * EXPIRY, 2 * EXPIRY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(180, 600)), pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Watcher:
    """One who shares a server with all of them, and what was said of whose status when."""

    told: list[tuple[float, str, str]] = field(default_factory=list)

    def hear(self, received: Received) -> None:
        if isinstance(received, Event) and received.method == "user_changed":
            status = received.params["changes"].get("status")
            if status is not None:
                self.told.append((received.at, received.params["user_id"], status))

    def of(self, persons: Sequence[Person], since: float) -> dict[str, list[str]]:
        those = {person.id for person in persons}
        said: dict[str, list[str]] = {}
        for at, user_id, status in self.told:
            if user_id in those and at >= since:
                said.setdefault(user_id, []).append(status)
        return said

    def when(self, persons: Sequence[Person], status: str, since: float) -> list[float]:
        those = {person.id for person in persons}
        return [at - since for at, user_id, said in self.told if user_id in those and said == status and at >= since]


@dataclass
class Scene:
    """On gateway 0: ghosts, who never come back by themselves, and those whose clients do; on gateway 1 the watcher."""

    watcher: Watcher
    ghosts: list[Person]
    returning: list[Person]


@asynccontextmanager
async def scene(everything: Installation) -> AsyncIterator[Scene]:
    people, apps = People(everything), list[App]()
    watcher = Watcher()
    ghosts = await people.several(*["ghost"] * GHOSTS)
    returning = await people.several(*["back"] * RETURNING)
    bob = await people.register("bob")
    looking = await Client.connect(everything.url(1), watcher.hear)
    try:
        await looking.call("authenticate", token=bob.token)
        server_id = (await looking.call("add_server", name="Tea house"))["id"]
        invite = (await looking.call("add_invite", server_id=server_id))["code"]
        for person in [*ghosts, *returning]:
            client = await people.connect(person, 0)
            await client.call("join_server", invite=invite)
            if person in returning:
                await client.close()
        urls = [everything.url(number) for number in (0, 2, 1)]
        apps += [App(urls) for _ in returning]
        await asyncio.gather(
            *(app.client.authenticate(person.token) for app, person in zip(apps, returning, strict=True))
        )
        for person in [*ghosts, *returning]:
            assert (await looking.call("get_user", user_id=person.id))["status"] == "online"
        yield Scene(watcher, ghosts, returning)
    finally:
        await asyncio.gather(*(app.close() for app in apps))
        await looking.close()
        await people.close()


@pytest.mark.row(14)
async def test_gateway_killed(everything: Installation, figures: dict[str, str]) -> None:
    async with scene(everything) as there:
        killed = time.monotonic()
        await everything.kill("gateway-0")
        watcher = there.watcher
        await eventually(lambda: len(watcher.of(there.ghosts, killed)) == GHOSTS, "all are offline", GONE)
        await asyncio.sleep(EXPIRY / 2)
        await everything.launch("gateway-0")
        offline = watcher.when(there.ghosts, "offline", killed)
        flickered = watcher.of(there.returning, killed)
        figures["gateway killed"] = (
            f"{GHOSTS} users offline after {min(offline):.1f} to {max(offline):.1f} s,"
            f" {len(flickered)} of {RETURNING} who came back flickered"
        )
        assert watcher.of(there.ghosts, killed) == {person.id: ["offline"] for person in there.ghosts}
        assert max(offline) - min(offline) < WAVE
        assert flickered == {}


@pytest.mark.row(14)
async def test_gateway_paused(everything: Installation, figures: dict[str, str]) -> None:
    async with scene(everything) as there:
        paused = time.monotonic()
        everything.signal("gateway-0", signal.SIGSTOP)
        try:
            await asyncio.sleep(PAUSED)
        finally:
            everything.signal("gateway-0", signal.SIGCONT)
        continued = time.monotonic()
        watcher = there.watcher
        assert len(watcher.when(there.ghosts, "offline", paused)) == GHOSTS
        await eventually(
            lambda: len(watcher.when(there.ghosts, "online", continued)) == GHOSTS, "all are online", RIGHT_AGAIN
        )
        again = watcher.when(there.ghosts, "online", continued)
        figures["paused"] = f"for {PAUSED:.0f} s, its users right again {max(again):.1f} s after it went on"
        assert watcher.of(there.ghosts, paused) == {person.id: ["offline", "online"] for person in there.ghosts}


@pytest.mark.row(14)
async def test_nats_gone(everything: Installation, figures: dict[str, str]) -> None:
    async with scene(everything) as there:
        cut = time.monotonic()
        await everything.on_nats_links(Link.cut)
        await asyncio.sleep(NATS_AWAY)
        await everything.on_nats_links(Link.restore)
        await asyncio.sleep(2 * EXPIRY)
        everybody = [*there.ghosts, *there.returning]
        said = there.watcher.of(everybody, cut)
        figures["NATS gone"] = f"for {NATS_AWAY:.0f} s, {len(said)} of {len(everybody)} went offline"
        assert said == {}
