"""The balancer: its configuration as haproxy reads it, and in front of real gateways."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from deploy.embedded import Mongod, free_port
from shared.settings import Settings
from tests.manifests.balancer import CONFIG, balancer
from tests.manifests.sources import complaints, containers, haproxy, image_environment
from tests.rig import System, eventually

GOING_AWAY = 1012


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[System]:
    """Two gateways and their nats-server; they are ready without services."""
    system = System(tmp_path, Mongod(tmp_path))
    try:
        system.nats.start()
        system.launch_now("gateway-0", "gateway-1")
        yield system
    finally:
        system.stop()


def sockets(system: System, name: str) -> int:
    """How many a gateway holds."""
    url = f"http://127.0.0.1:{system.processes[name].admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as response:
        found = re.search(r'^guildwire_gateway_connections{state="open"} (\S+)', response.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


async def closed_with(socket: ClientConnection) -> int:
    try:
        async with asyncio.timeout(10):
            while True:
                assert json.loads(await socket.recv())["method"] == "reconnect"
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def test_haproxy_accepts_it_without_a_warning() -> None:
    assert complaints(haproxy(), "-c", "-dW", "-f", CONFIG) == ""


def test_no_stickiness_and_the_least_used_first() -> None:
    text = CONFIG.read_text()
    assert not re.search(r"^\s*(cookie|stick|stick-table|hash-type)\b", text, re.MULTILINE)
    assert re.findall(r"^\s*balance (\S+)", text, re.MULTILINE) == ["leastconn"]


def test_an_idle_socket_outlives_two_lost_pings() -> None:
    (tunnel,) = re.findall(r"^\s*timeout tunnel (\d+)s", CONFIG.read_text(), re.MULTILINE)
    assert int(tunnel) > 3 * Settings().ping_interval


def test_it_finds_gateways_by_their_container_s_name_and_port() -> None:
    (address,) = re.findall(r"^\s*server-template \S+ \d+ (\S+)", CONFIG.read_text(), re.MULTILINE)
    name, _, port = address.partition(":")
    assert name in containers()
    assert port == image_environment()["PORT"]
    published = containers()["haproxy"]["ports"][0].rpartition(":")[2]
    assert f"bind :{published}\n" in CONFIG.read_text()


async def test_sockets_are_shared_out_and_none_fails_while_a_gateway_goes(gateways: System, tmp_path: Path) -> None:
    with balancer(tmp_path, [port_of(gateways.url(0)), port_of(gateways.url(1))]) as port:
        url = f"ws://127.0.0.1:{port}/ws"
        opened = [await connect(url, proxy=None) for _ in range(6)]
        await eventually(lambda: [sockets(gateways, f"gateway-{n}") for n in (0, 1)] == [3, 3], "three each")

        going = asyncio.create_task(gateways.terminate("gateway-0"))
        # From the first moment on, also before the balancer's own check has seen it.
        for _ in range(20):
            opened.append(await connect(url, proxy=None))
            await asyncio.sleep(0.02)
        await going
        ended = [socket for socket in opened if socket.close_code is not None]
        assert {await closed_with(socket) for socket in ended} == {GOING_AWAY}
        assert sockets(gateways, "gateway-1") == len(opened) - len(ended)
        for socket in opened:
            await socket.close()


async def test_a_full_gateway_is_passed_over(gateways: System, tmp_path: Path) -> None:
    gateways.env["gateway-0"] = {"MAX_CONNECTIONS": "1"}
    await gateways.restart("gateway-0")
    with balancer(tmp_path, [port_of(gateways.url(0)), port_of(gateways.url(1))]) as port:
        opened = [await connect(f"ws://127.0.0.1:{port}/ws", proxy=None) for _ in range(6)]
        await eventually(lambda: [sockets(gateways, f"gateway-{n}") for n in (0, 1)] == [1, 5], "the others elsewhere")
        assert [socket.close_code for socket in opened] == [None] * 6
        for socket in opened:
            await socket.close()


@asynccontextmanager
async def mirror() -> AsyncIterator[int]:
    """A server that answers with the headers it got; yields its port."""

    async def show(request: web.Request) -> web.Response:
        return web.json_response({name.lower(): request.headers.getall(name) for name in request.headers})

    app = web.Application()
    app.router.add_get("/{path:.*}", show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def test_a_client_can_t_say_where_it_comes_from(tmp_path: Path) -> None:
    async with mirror() as server:
        got = await asyncio.to_thread(_ask, tmp_path, server)
    assert re.search(r'"x-forwarded-for": \["127\.0\.0\.1"\]', got)
    assert re.search(r'"x-forwarded-proto": \["http"\]', got)
    assert "6.6.6.6" not in got


def _ask(folder: Path, server: int) -> str:
    with balancer(folder, [server]) as port:
        claims = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Forwarded-Proto": "https"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=claims)
        with urllib.request.urlopen(request, timeout=5) as response:
            text: str = response.read().decode()
        return text
