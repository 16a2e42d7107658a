"""Clients that read too slowly among many that do not; and clients that come and go without end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Self, cast
from urllib.parse import urlsplit

import psutil
import pytest
import uvloop

from tests.client import Client
from tests.faults.crowd import end
from tests.faults.metrics import metrics, total
from tests.faults.raw import UPGRADE, text_frame
from tests.faults.rows import sized
from tests.faults.traffic import quantile
from tests.rig import People, Person, System, general, join
from tests.secured import overstepped

READERS, SLOW = sized((40, 5), (1900, 100))
USERS = 20
RATE = sized(10, 2)
"""Messages a second to all of them."""

BYTES_PER_SECOND = 1024
SAID = re.compile(rb'"content":"([0-9.]+) ')
LONGEST_MARK = 64
OUTBOX = sized(1 << 14, 1 << 16)
"""What waits for a slow reader, beside what the kernel takes: more than comes in while it is measured."""

CLOSED_WITHIN = sized(60.0, 240.0)
WORSE = sized(3.0, 1.1)
NOISE = sized(0.3, 0.0)
CYCLES, WARM_UP, AT_ONCE = sized(150, 20_000), sized(150, 2_000), 20
GROWTH = sized(0.1, 0.01)
LET_GO = 14.0
"""Seconds: what nobody holds is let go of now and then."""

LOOP = uvloop.new_event_loop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(240, 3000)), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    soon_back = {"INTEREST_LINGER": "1", "DIGEST_INTERVAL": "5"}
    # The slow readers answer no pings: they are to be closed for what waits for them, not for that.
    env = {"gateway": {"OUTBOX_LIMIT": str(OUTBOX), "PING_INTERVAL": "600", **soon_back}}
    with System(tmp_path_factory.mktemp("readers"), gateways=1, env=env, secured=True) as running:
        yield running
        assert overstepped(running.directory / "log") == []


class Reader(asyncio.Protocol):
    """Reads at once, and keeps of it only after how many seconds it heard each message: thousands share a loop."""

    def __init__(self, token: str, lags: list[float]) -> None:
        self._token = token
        self._lags = lags
        self._rest = b""
        self.entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    @classmethod
    async def connect(cls, url: str, token: str, lags: list[float]) -> Self:
        port = urlsplit(url).port or 0
        _, reader = await asyncio.get_running_loop().create_connection(lambda: cls(token, lags), "127.0.0.1", port)
        await asyncio.wait_for(reader.entered, 30)
        return reader

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(coming(self._token))

    def data_received(self, data: bytes) -> None:
        heard = time.monotonic()
        self._rest += data
        if not self.entered.done():
            if b'"session_id"' not in self._rest:
                return
            self.entered.set_result(None)
        end = max(len(self._rest) - LONGEST_MARK, 0)
        for said in SAID.finditer(self._rest):
            self._lags.append(heard - float(said[1]))
            end = max(end, said.end())
        self._rest = self._rest[end:]

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True


def coming(token: str) -> bytes:
    """A handshake, and `authenticate` right behind it."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "authenticate", "params": {"token": token}}
    return UPGRADE + b"\r\n" + text_frame(json.dumps(request).encode())


class Hall:
    """A channel that all of them read; `lags` are the seconds from asking to hearing since they were last taken."""

    def __init__(self, people: People, speaker: Client, persons: list[Person], server_id: str, channel_id: str) -> None:
        self.people = people
        self.speaker = speaker
        self.persons = persons
        self.server_id = server_id
        self.channel_id = channel_id
        self.lags: list[float] = []

    async def speak(self, seconds: float) -> float:
        """The p99 of everybody's lags meanwhile."""
        self.lags.clear()
        ends, said = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            said += 1
            content = f"{time.monotonic()} {'x' * 1000}"
            await self.speaker.call("add_message", channel_id=self.channel_id, content=content)
            await asyncio.sleep(1 / RATE)
        await asyncio.sleep(1)
        assert len(self.lags) >= said * READERS, "all hear all of it"
        return quantile(self.lags, 0.99)


@asynccontextmanager
async def hall(system: System) -> AsyncIterator[Hall]:
    people = People(system)
    owner = await people.register("ann")
    persons = await people.several(*["bob"] * USERS)
    speaker = await people.connect(owner)
    server_id = (await speaker.call("add_server", name="Hall"))["id"]
    for person in persons:
        await join(speaker, await people.connect(person), server_id)
    try:
        yield Hall(people, speaker, persons, server_id, await general(speaker, server_id))
    finally:
        await people.close()


async def slow_reader(url: str, token: str) -> None:
    """Speaks WebSocket by hand, so that nothing reads ahead: a thousand bytes a second, until the gateway ends it."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(own, ("127.0.0.1", urlsplit(url).port))
        await loop.sock_sendall(own, coming(token))
        with suppress(ConnectionError):
            while await loop.sock_recv(own, BYTES_PER_SECOND):  # noqa: ASYNC110 - it is to be slow
                await asyncio.sleep(1)
    finally:
        own.close()


def closes(system: System) -> float:
    return total(metrics(system, ["gateway-0"]), "guildwire_gateway_closes_total", lambda labels: labels == "code=4008")


@pytest.mark.row(10)
async def test_slow_readers(system: System, figures: dict[str, str]) -> None:
    async with hall(system) as there:
        of_readers = [there.persons[number % USERS].token for number in range(READERS)]
        readers = [await Reader.connect(system.url(), token, there.lags) for token in of_readers]
        before = [await there.speak(sized(3, 15)) for _ in range(3)]
        tokens = [there.persons[number % USERS].token for number in range(SLOW)]
        slow = [asyncio.create_task(slow_reader(system.url(), token)) for token in tokens]
        try:
            await asyncio.sleep(2)
            meanwhile = [await there.speak(sized(3, 15)) for _ in range(3)]
            early = closes(system)
            began = time.monotonic()
            while closes(system) < SLOW:
                assert time.monotonic() < began + CLOSED_WITHIN, f"{closes(system)} of {SLOW} are closed"
                await there.speak(2)
            assert not any(reader.lost for reader in readers), "nobody else is closed"
        finally:
            await end(slow)
            for reader in readers:
                reader.close()
        usual, worse = sorted(before)[1], sorted(meanwhile)[1]
        figures["slow readers"] = f"{SLOW} of {READERS + SLOW}, all closed with 4008 at {OUTBOX >> 10} KiB each"
        figures["closed while it was measured"] = f"{early:.0f}"
        figures["the others' p99"] = f"{worse * 1000:.1f} ms, {usual * 1000:.1f} ms without them"
        assert early < SLOW, "they were still there while it was measured"
        assert worse < usual * WORSE + NOISE


def holdings(system: System) -> dict[str, float]:
    """What a gateway holds: scopes, subscriptions at NATS, sockets, and bytes."""
    read = metrics(system, ["gateway-0"])
    return {
        "scopes": total(read, "guildwire_gateway_scopes"),
        "subscriptions": total(read, "guildwire_nats_subscriptions"),
        "sockets": total(read, "guildwire_gateway_connections"),
        "memory": float(psutil.Process(system.processes["gateway-0"].pid).memory_info().rss),
    }


@pytest.mark.row(11)
async def test_coming_and_going(system: System, figures: dict[str, str]) -> None:
    async with hall(system) as there:
        own = [await (await there.people.connect(each)).call("add_server", name="Own") for each in there.persons]
        await there.people.close()
        room = asyncio.Semaphore(AT_ONCE)

        async def cycle(number: int) -> None:
            async with room, await Client.connect(system.url()) as client:
                await client.call("authenticate", token=there.persons[number % USERS].token)
                await client.call("get_server", server_id=there.server_id)
                await client.call("get_server_channels", server_id=there.server_id)
                page = {"channel_id": there.channel_id, "amount": 20, "anchor": 0, "direction": False}
                await client.call("get_message_chunk", **page)
                await client.call("get_users", users={person.id: 0 for person in there.persons})
                await client.call("get_server", server_id=own[number % USERS]["id"])

        async def cycles(amount: int) -> dict[str, float]:
            for start in range(0, amount, 500):
                await asyncio.gather(*(cycle(number) for number in range(start, min(start + 500, amount))))
            await asyncio.sleep(LET_GO)
            return holdings(system)

        start = await cycles(0)
        warm = await cycles(WARM_UP)
        after = await cycles(CYCLES)
        figures["cycles"] = f"{CYCLES}, after {WARM_UP} to warm up"
        for name in ("scopes", "subscriptions", "sockets"):
            figures[name] = f"{after[name]:.0f}, {start[name]:.0f} before"
            assert after[name] <= start[name]
        figures["memory"] = f"{after['memory'] / 2**20:.1f} MiB, {warm['memory'] / 2**20:.1f} before"
        assert after["memory"] < warm["memory"] * (1 + GROWTH)
