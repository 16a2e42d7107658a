"""Those who send what nobody should: they are refused or closed, and others go on as if they were not there."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from shared.settings import Settings
from tests.client import Client, Closed, RpcError
from tests.faults.crowd import quantiles
from tests.faults.raw import UPGRADE, Raw, text_frame
from tests.faults.rows import sized
from tests.faults.traffic import quantile
from tests.rig import CHEAP_PASSWORDS, System, eventually, general, join
from tests.secured import overstepped

HALF_OPEN, SILENT, ANONYMOUS = sized(150, 300), sized(150, 300), sized(50, 100)
BOMBS, DEEP, LARGE = sized(20, 100), sized(20, 80), sized(20, 100)
LOGIN_SECONDS, LOGINS_PER_SECOND = sized(3, 60), 200
REQUESTS = 1_000
MB = 1_000_000
GROWTH = 50 * MB
OVERSIZED = 5 * MB

TRUE_PASSWORDS = dict.fromkeys(CHEAP_PASSWORDS, "")
ARGON2 = Settings().password_memory * 1024 * Settings().password_workers
BESIDE_ARGON2 = sized(GROWTH, 15 * MB)
"""What presence needs meanwhile for the thousands of requests that wait or are refused."""
USUAL_SECONDS = sized(1, 10)
UNAFFECTED = sized(1.0, 0.25)
"""Seconds within which 99 of 100 bystanders' messages are acknowledged while both cores are at passwords."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(180, 600))]


class Memory:
    """What processes have in memory, and the most they had."""

    def __init__(self, system: System, *names: str) -> None:
        self._processes = {name: psutil.Process(system.processes[name].pid) for name in names}
        self._before = {name: self._now(name) for name in names}
        self._most = dict(self._before)

    async def watch(self) -> None:
        while True:
            for name in self._processes:
                self._most[name] = max(self._most[name], self._now(name))
            await asyncio.sleep(0.02)

    def grown(self, name: str) -> int:
        return self._now(name) - self._before[name]

    def most_grown(self, name: str) -> int:
        return self._most[name] - self._before[name]

    def _now(self, name: str) -> int:
        return int(self._processes[name].memory_info().rss)


@dataclass
class Bystanders:
    """People of one server who talk, each of whom must be answered and hear all the others."""

    clients: list[Client]
    channel_id: str
    latencies: list[float] = field(default_factory=list)

    async def talk(self, over: asyncio.Event) -> None:
        await asyncio.gather(*(self._talk(client, over) for client in self.clients))

    async def _talk(self, client: Client, over: asyncio.Event) -> None:
        while not over.is_set():
            began = time.monotonic()
            await client.call("add_message", channel_id=self.channel_id, content="as ever")
            self.latencies.append(time.monotonic() - began)
            await asyncio.sleep(0.2)

    async def have_heard_all(self) -> None:
        for client in self.clients:
            await client.event("message_added", rev=len(self.latencies))
            ids = [event.params["message"]["id"] for event in client.heard("message_added")]
            assert ids == list(range(1, len(self.latencies) + 1))
            assert client.close_code is None


async def comes(system: System, name: str, address: str) -> tuple[Client, str]:
    """Somebody new, and their token."""
    client = await Client.connect(system.url(), headers={"X-Forwarded-For": address})
    made = await client.call("register", name=name, password="correct horse")
    await client.call("authenticate", token=made["token"])
    return client, made["token"]


@asynccontextmanager
async def bystanders(system: System) -> AsyncIterator[Bystanders]:
    """They talk until the end of the block, and nothing goes wrong for any of them."""
    clients = [(await comes(system, f"bystander.{each}", f"192.0.2.{each}"))[0] for each in range(3)]
    server_id = (await clients[0].call("add_server", name="Tea house"))["id"]
    for client in clients[1:]:
        await join(clients[0], client, server_id)
    here, over = Bystanders(clients, await general(clients[0], server_id)), asyncio.Event()
    talking = asyncio.create_task(here.talk(over))
    try:
        yield here
    finally:
        over.set()
        await talking
    await here.have_heard_all()
    await asyncio.gather(*(client.close() for client in clients))


def under_way(system: System, name: str) -> float:
    """The requests that a service works on."""
    with urlopen(f"http://127.0.0.1:{system.processes[name].admin_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    (gauge,) = [each for each in lines if each.startswith("guildwire_requests_in_flight ")]
    return float(gauge.split()[1])


def megabytes(size: int) -> str:
    return f"{size / MB:+.0f} MB"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    env = {
        "*": {"LIMITS": "on"},
        "gateway": {"TRUSTED_PROXIES": "127.0.0.0/8"},
        "presence": TRUE_PASSWORDS,
    }
    with System(tmp_path, gateways=1, env=env, secured=True) as running:
        yield running
        assert overstepped(tmp_path / "log") == []


@pytest.mark.row(15)
async def test_hostile_clients(system: System, figures: dict[str, str]) -> None:
    async with bystanders(system) as others:
        await asyncio.sleep(USUAL_SECONDS)
        usual = list(others.latencies)
        memory = Memory(system, "gateway-0", "presence-0")
        watching = asyncio.create_task(memory.watch())
        half_open = asyncio.create_task(half_open_handshakes(system))
        await deflate_bombs(system)
        await deep_json(system)
        await oversized_frames(system)
        figures["requests of one socket"] = await too_many_requests(system)
        before_logins = len(others.latencies)
        figures["log-ins"] = await too_many_logins(system)
        meanwhile = others.latencies[before_logins:]
        figures["half-open handshakes"] = await half_open
        # Nobody waits for them any more, so presence goes on with none of them.
        await eventually(lambda: under_way(system, "presence-0") == 0, "presence is through with passwords", 20)
        watching.cancel()
        bystander = await Client.connect(system.url())
        assert (await bystander.call("login", name="bystander.0", password="correct horse"))["token"]
        await bystander.close()
    figures["gateway memory"] = megabytes(memory.most_grown("gateway-0"))
    figures["presence memory"] = megabytes(memory.grown("presence-0"))
    figures["with passwords"] = f"{megabytes(memory.most_grown('presence-0'))}, of which {ARGON2 / MB:.0f} for Argon2"
    figures["others' latency"] = f"{quantiles(meanwhile)} during the log-ins, {quantiles(usual)} before all"
    assert memory.most_grown("gateway-0") < GROWTH
    assert memory.grown("presence-0") < GROWTH
    assert memory.most_grown("presence-0") < ARGON2 + BESIDE_ARGON2
    assert quantile(meanwhile, 0.99) < UNAFFECTED


async def half_open_handshakes(system: System) -> str:
    """Requests that come a byte each 10 s, sockets that say nothing, and such that never authenticate."""
    trickling = [await Raw.connect(system.url()) for _ in range(HALF_OPEN)]
    silent = [await Raw.connect(system.url()) for _ in range(SILENT)]
    sending = [asyncio.create_task(each.trickle(UPGRADE, every=10)) for each in trickling]
    anonymous = [await Raw.connect(system.url()) for _ in range(ANONYMOUS)]
    for number, each in enumerate(anonymous):
        assert b" 101 " in await each.upgrade(f"192.0.2.{number}")
        await asyncio.sleep(0.01)
    lasted = await asyncio.gather(*(each.ended(30) for each in trickling + silent))
    codes = await asyncio.gather(*(each.close_code(30) for each in anonymous))
    for task in sending:
        task.cancel()
    for each in trickling + silent + anonymous:
        await each.__aexit__(None, None, None)
    assert min(lasted) > 9.5
    assert max(lasted) < 25
    assert set(codes) == {4003}
    return f"{len(lasted)} closed after {min(lasted):.1f} to {max(lasted):.1f} s"


async def deflate_bombs(system: System) -> None:
    """Compression was offered in vain, so a packed frame is none: 60 KB of it would be 60 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(60 * MB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    for number in range(BOMBS):
        async with await Raw.connect(system.url()) as raw:
            assert b"permessage-deflate" not in (await raw.upgrade(f"198.51.100.{number}")).lower()
            await raw.send(text_frame(packed, deflated=True))
            assert await raw.close_code(10) == 1002


async def deep_json(system: System) -> None:
    deep = [
        "[" * 10_000 + "]" * 10_000,
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}",
        "[" * 60_000,
    ]
    async with await Client.connect(system.url()) as client:
        for number in range(DEEP):
            answer = await client.exchange(deep[number % 3])
            assert answer["error"]["code"] in {-32700, -32600, -32602}
        assert (await client.call("ping"))["time"]


async def oversized_frames(system: System) -> None:
    frame = text_frame(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode() + b" " * OVERSIZED)

    async def send(number: int) -> int | None:
        async with await Raw.connect(system.url()) as raw:
            await raw.upgrade(f"198.51.100.{number}")
            closing = asyncio.create_task(raw.close_code(20))
            with suppress(ConnectionError):
                await raw.send(frame)
            return await closing

    assert set(await asyncio.gather(*(send(number) for number in range(LARGE)))) == {1009}


async def too_many_requests(system: System) -> str:
    """A thousand in a second or two: some are answered, the rest refused; who goes on like that is cut off."""
    client, _ = await comes(system, "busy", "203.0.113.250")
    began = time.monotonic()
    sent = [await client.send("ping") for _ in range(REQUESTS)]
    found = await asyncio.gather(*sent, return_exceptions=True)
    took = time.monotonic() - began
    refused = [each for each in found if isinstance(each, RpcError)]
    assert {(error.code, error.reason) for error in refused} == {(4290, "rate_limited")}
    assert all(error.data["retry_after_ms"] > 0 for error in refused)
    assert 90 <= REQUESTS - len(refused) <= 100 + 20 * took + 1
    with suppress(Closed):
        for _ in range(3 * REQUESTS):
            await client.notify("ping")
            await asyncio.sleep(0)
    assert await client.closed(10) == 4009
    return f"{REQUESTS} in {took:.1f} s, {len(refused)} refused"


async def too_many_logins(system: System) -> str:
    """Half of them from one address; each of a name of its own, so that nothing else limits them."""
    begun = time.monotonic()
    waves = []
    for number in range(LOGIN_SECONDS):
        waves.append(asyncio.create_task(logins_of_a_second(system, number)))
        await asyncio.sleep(max(0, begun + number + 1 - time.monotonic()))
    outcomes = await asyncio.gather(*waves)
    took = time.monotonic() - begun
    from_one: Counter[str] = sum((each for each, _ in outcomes), Counter())
    from_many: Counter[str] = sum((each for _, each in outcomes), Counter())
    assert (from_one + from_many).keys() <= {"unauthenticated", "unavailable", "rate_limited"}
    # An address has 50 at once and 10 a second.
    assert from_one["rate_limited"] >= from_one.total() - 50 - 10 * took - 1
    total = from_one + from_many
    told = ", ".join(f"{amount} {reason}" for reason, amount in total.most_common())
    return f"{total.total()} in {LOGIN_SECONDS} s: {told}"


async def logins_of_a_second(system: System, wave: int) -> tuple[Counter[str], Counter[str]]:
    """On sockets of their own, for one that asks only what is refused is not kept long. What became of them."""
    addresses = ["203.0.113.1"] * 5, [f"203.0.113.{each}" for each in range(2, 42)]
    headers = [[{"X-Forwarded-For": each} for each in some] for some in addresses]
    one, many = [[await Client.connect(system.url(), headers=each) for each in some] for some in headers]
    begun = time.monotonic()
    sent: list[list[asyncio.Future[object]]] = [[], []]
    for number in range(LOGINS_PER_SECOND // 2):
        for who, clients in enumerate((one, many)):
            name = f"nobody.{who}.{wave}.{number}"
            sent[who].append(await clients[number % len(clients)].send("login", name=name, password="wrong wrong"))
        await asyncio.sleep(max(0, begun + 2 * number / LOGINS_PER_SECOND - time.monotonic()))
    from_one, from_many = [reasons(await asyncio.gather(*each, return_exceptions=True)) for each in sent]
    for client in one + many:
        await client.close()
    return from_one, from_many


def reasons(found: list[object]) -> Counter[str]:
    return Counter(each.reason if isinstance(each, RpcError) else "in" for each in found)
