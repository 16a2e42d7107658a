"""Rate limits of what comes without a socket: handshakes, uploads, images. By user, or by address without one."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from deploy.embedded import Mongod
from tests.client import Client
from tests.rig import System
from tests.system.addresses import registered
from tests.web import NOTHING, Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANDSHAKES = 30
FROM_ONE = 10
IMAGES = 10
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scarce(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[System]:
    """So little comes back that a slow machine gets no more than a quick one."""
    env = {
        "gateway": {"LIMITS": "on", "RATE_PER_SECOND": "0.1", "HANDSHAKE_RATE": str(HANDSHAKES)},
        "gateway-0": {"HANDSHAKE_RATE_PER_ADDRESS": str(100 * HANDSHAKES)},
        "gateway-1": {
            "HANDSHAKE_RATE_PER_ADDRESS": str(FROM_ONE),
            "IMAGE_RATE_PER_ADDRESS": str(IMAGES / 10),
            "TRUSTED_PROXIES": "127.0.0.0/8",
        },
    }
    system = System(Path(tmp_path_factory.mktemp("scarce")), mongod, env=env)
    await asyncio.to_thread(system.start)
    yield system
    await asyncio.to_thread(system.stop)


async def test_uploads_are_paid_for_by_their_cost(scarce: System) -> None:
    web = Web(scarce, await registered(scarce, "192.0.2.30", "uploads"))
    image = io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    try:
        found = [await web.post(image.getvalue()) for _ in range(12)]
        assert [status for status, _ in found][:10] == [200] * 10
        assert found[-1][0] == 429
        assert found[-1][1]["error"]["data"]["reason"] == "rate_limited"
        headers = {"Authorization": f"Bearer {web.person.token}"}
        async with web.session.post(web.images(), data=image.getvalue(), headers=headers) as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 100
    finally:
        await web.session.close()


async def test_an_upload_that_has_no_place_costs_nothing(scarce: System) -> None:
    """A user has four at once, and what ten of them cost."""
    web = Web(scarce, await registered(scarce, "192.0.2.31", "at.once"))
    headers = {"Authorization": f"Bearer {web.person.token}"}
    given_up = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await given_up.wait()

    async def begin() -> int:
        async with web.session.post(web.images(), data=slow(), headers=headers) as response:
            return response.status

    try:
        under_way = [asyncio.create_task(begin()) for _ in range(4)]
        statuses: list[int] = []
        async with asyncio.timeout(10):
            while statuses.count(429) < 20:
                statuses.append((await web.post(b"no image"))[0])
        given_up.set()
        statuses += await asyncio.gather(*under_way)
        statuses += [(await web.post(b"no image"))[0] for _ in range(10)]
        assert set(statuses) == {415, 429}
        assert statuses.count(415) == 10
    finally:
        await web.session.close()


def knocks(system: System, gateway: int) -> Callable[..., Awaitable[list[tuple[int, str | None]]]]:
    """Sends so many requests to open a socket at once, from an address; each with its status and `Retry-After`."""
    url = system.url(gateway).replace("ws:", "http:")

    async def knock(amount: int, address: str, *, upgrades: bool = True) -> list[tuple[int, str | None]]:
        headers = {"X-Forwarded-For": address, **(UPGRADE if upgrades else {})}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one() -> tuple[int, str | None]:
                response = await session.get(url, headers=headers)
                response.close()
                return response.status, response.headers.get("Retry-After")

            return await asyncio.gather(*(one() for _ in range(amount)))

    return knock


async def test_a_storm_of_handshakes_is_spread(scarce: System) -> None:
    """Nobody is told to come in a second in which there would be too many again."""
    found = await knocks(scarce, 0)(10 * HANDSHAKES, "192.0.2.40")
    told = Counter(int(after) for status, after in found if status == 503 and after)
    assert told.total() + found.count((101, None)) == len(found)
    assert max(told.values()) <= HANDSHAKES + 1
    assert HANDSHAKES <= found.count((101, None)) < 5 * HANDSHAKES
    await asyncio.sleep(0.5)
    async with await Client.connect(scarce.url()) as client:
        assert (await client.call("ping"))["time"]


async def test_the_storm_of_one_address_keeps_nobody_else_out_and_only_upgrades_count(scarce: System) -> None:
    knock = knocks(scarce, 1)
    assert set(await knock(3 * HANDSHAKES, "192.0.2.41", upgrades=False)) == {(400, None)}
    found = await knock(4 * HANDSHAKES, "192.0.2.41")
    assert {status for status, _ in found} == {101, 503}
    assert 2 * FROM_ONE <= found.count((101, None)) < 2 * HANDSHAKES
    assert await knock(FROM_ONE, "192.0.2.42") == [(101, None)] * FROM_ONE


async def test_made_up_tokens_are_limited_by_address_and_right_ones_are_not(scarce: System) -> None:
    web = Web(scarce, await registered(scarce, "192.0.2.50", "has.a.token"))
    base = scarce.url(1).replace("ws:", "http:").replace("/ws", "/images")

    async def upload(token: str, address: str) -> tuple[int, bool]:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
        async with web.session.post(base, data=b"no image", headers=headers) as response:
            return response.status, "Retry-After" in response.headers

    try:
        found = [await upload(f"made-up-{each}", "192.0.2.51") for each in range(8 * FROM_ONE)]
        assert set(found) == {(401, False), (429, True)}
        assert found.count((401, False)) >= 2 * FROM_ONE
        assert await upload(web.person.token, "192.0.2.52") == (415, False)
    finally:
        await web.session.close()


async def test_images_are_limited_by_address_but_not_those_that_it_has_already(scarce: System) -> None:
    image = scarce.url(1).replace("ws:", "http:").replace("/ws", f"/images/{NOTHING}")

    async def look(address: str, **headers: str) -> int:
        async with session.get(image, headers={"X-Forwarded-For": address, **headers}) as response:
            assert (response.status == 429) == ("Retry-After" in response.headers)
            return response.status

    async with aiohttp.ClientSession() as session:
        found = [await look("192.0.2.80") for _ in range(2 * IMAGES)]
        assert found[:IMAGES] == [404] * IMAGES
        assert 429 in found[IMAGES:]
        tag = f'"{NOTHING}-512"'
        assert [await look("192.0.2.80", **{"If-None-Match": tag}) for _ in range(IMAGES)] == [304] * IMAGES
        assert await look("192.0.2.81") == 404


async def test_of_many_connections_that_ask_for_nothing_the_oldest_go(make_system: Callable[..., System]) -> None:
    env = {"gateway": {"IDLE_CONNECTIONS": "10", "HANDSHAKE_TIMEOUT": "2"}}
    system = await asyncio.to_thread(make_system(gateways=1, env=env).start)
    port = urlsplit(system.url()).port
    socket = await Client.connect(system.url())
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for _ in range(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        streams.append((reader, writer))
    oldest, newest = streams[:15], streams[-5:]
    for reader, _ in oldest:
        await asyncio.wait_for(reader.read(), 10)
    for reader, writer in newest:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"HTTP/1.1 200 ")
    assert (await socket.call("ping"))["time"], "sockets are counted elsewhere"
    await socket.close()
    for _, writer in streams:
        writer.close()
