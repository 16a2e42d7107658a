"""Who is not let in at the door: pages of other sites, tokens in URLs; and nothing of it stands in a log."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.client import Client
from tests.rig import People, System, eventually

OWN = "https://chat.example"


async def status_of(url: str, **headers: str) -> int:
    """What a handshake is answered with; 101 when it is accepted."""
    return (await answer_of(url, **headers))[0]


async def answer_of(url: str, **headers: str) -> tuple[int, int]:
    """The same, and in how many seconds to come again; 0 if it says none."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, headers=headers):
                return 101, 0
        except aiohttp.WSServerHandshakeError as error:
            told = error.headers["Retry-After"] if error.headers and "Retry-After" in error.headers else "0"
            return error.status, int(told)


@pytest.mark.parametrize(
    "origin",
    ["https://elsewhere.example", "null", "", "https://127.0.0.1", "http://[", "file://", "https://chat.example.evil"],
)
async def test_pages_of_other_origins_are_refused(people: People, origin: str) -> None:
    assert await status_of(people.system.url(), Origin=origin) == 403


async def test_its_own_pages_are_let_in_and_who_is_no_browser(people: People) -> None:
    host = urlsplit(people.system.url()).netloc
    for headers in ({"Origin": f"http://{host}"}, {"Origin": f"https://{host}"}, {}):
        assert await status_of(people.system.url(), **headers) == 101


async def test_origins_that_are_allowed(make_system: Callable[..., System]) -> None:
    env = {"gateway-0": {"ALLOWED_ORIGINS": f"{OWN}, http://localhost:5173"}, "gateway-1": {"ALLOWED_ORIGINS": "*"}}
    system = make_system(env=env).start()
    for origin, first in ((OWN, 101), (OWN.upper(), 101), ("http://localhost:5174", 403), (f"{OWN}:8443", 403)):
        assert await status_of(system.url(0), Origin=origin) == first
        assert await status_of(system.url(1), Origin=origin) == 101


async def test_a_token_in_the_url_opens_nothing(people: People) -> None:
    person = await people.anybody()
    for query in (f"token={person.token}", f"access_token={person.token}", "x"):
        assert await status_of(f"{people.system.url()}?{query}") == 400
    anonymous = await Client.connect(people.system.url(), headers={"Authorization": f"Bearer {person.token}"})
    with pytest.raises(Exception, match="unauthenticated"):
        await anonymous.call("get_servers")
    await anonymous.close()


HEADERS = [
    b"Authorization: Bearer %s\x00",
    b"Authorization Bearer %s",
    b"Authorization: Bearer\r\n %s\x01",
    b"Content-Length: %s",
    b"Authorization: Bearer %s" + b"x" * 20_000,
]


@pytest.mark.parametrize("header", HEADERS)
async def test_what_cannot_be_read_is_not_quoted_in_the_log(system: System, people: People, header: bytes) -> None:
    """It may be a token, or a password: at the gateway's port, and at the admin port."""
    secret = (await people.anybody()).token
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + header.replace(b"%s", secret.encode()) + b"\r\n\r\n"
    gateway = system.processes["gateway-0"]
    for port in (urlsplit(system.url()).port, gateway.admin_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        assert (await reader.read(100)).startswith(b"HTTP/1.")
        writer.close()
    async with aiohttp.ClientSession() as session:
        await session.get(system.url().replace("ws:", "http:").replace("/ws", "/healthz"))
    await eventually(gateway.ready, "the admin port answers")
    assert secret not in gateway.log.read_text()


async def test_who_waits_for_slow_services_gets_in_and_who_comes_then_is_told_to_come_later(
    make_system: Callable[..., System],
) -> None:
    at_once = 2
    rates = dict.fromkeys(("HANDSHAKE_RATE", "HANDSHAKE_RATE_PER_ADDRESS"), "10000")
    env = {"gateway": {"LIMITS": "on", "AUTHENTICATIONS": str(at_once), **rates}}
    system = make_system(gateways=1, env=env).start()
    people = People(system)
    persons = await people.several(*["someone"] * 2 * at_once)
    waiting = [await people.open() for _ in persons]
    system.signal("presence-0", signal.SIGSTOP)
    try:
        coming = [
            asyncio.create_task(client.call("authenticate", token=person.token))
            for client, person in zip(waiting, persons, strict=True)
        ]
        async with asyncio.timeout(2):
            while (status := await status_of(system.url())) != 503:
                assert status == 101
        told = [await answer_of(system.url()) for _ in range(20)]
        assert {status for status, _ in told} == {503}
        assert told[-1][1] > told[0][1] > 0, "each is told another time, as far apart as others come in"
    finally:
        system.signal("presence-0", signal.SIGCONT)
    entered = await asyncio.gather(*coming)
    assert [each["user"]["id"] for each in entered] == [person.id for person in persons]
    assert await status_of(system.url()) == 101
    await people.close()


async def test_who_leaves_at_the_door_leaves_no_trace_in_the_log(system: System) -> None:
    gateway = system.processes["gateway-0"]
    before = len(gateway.log.read_text())
    request = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(system.url()).port)
        writer.write(request)
        writer.transport.abort()
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(system.url()).port)
        writer.write(request)
        writer.write_eof()
        writer.close()
    assert await status_of(system.url()) == 101
    assert "Traceback" not in gateway.log.read_text()[before:]
