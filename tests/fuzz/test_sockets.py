"""Bytes that are nearly WebSocket frames, and handshakes that are nearly one: closed as the protocol says, no worse."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from tests.client import Client
from tests.fuzz.hostile import SECRET
from tests.fuzz.hunt import hunt, kept, read
from tests.fuzz.scene import Scene
from tests.fuzz.wire import STREAMS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_UPGRADE = ["Host: here", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
_UPGRADE += [f"Sec-WebSocket-Key: {_KEY}"]
_CLOSES = {1000, 1001, 1002, 1003, 1007, 1009}
_PATIENCE = 15.0


async def talk(url: str, handshake: str, data: bytes) -> bytes:
    """All that comes back until the gateway closes, which it must when the client has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    try:
        async with asyncio.timeout(_PATIENCE):
            writer.write(handshake.encode())
            head = b""
            if data:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(data)
            with suppress(OSError):  # it has closed before we did
                writer.write_eof()
            return head + await reader.read()
    except (ConnectionError, asyncio.IncompleteReadError):  # the same
        return b""
    finally:
        writer.close()


def received(data: bytes) -> list[Frame]:
    """A server's frames, read by an implementation that isn't ours; raises EOFError when the last is cut off."""
    stream = StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    found: list[Frame] = []
    while stream.buffer:
        reading = Frame.parse(stream.read_exact, mask=False)
        try:
            next(reading)
        except StopIteration as done:
            found.append(done.value)
    return found


async def pour(url: str, stream: str) -> None:
    """Any bytes after a right handshake: what comes back is whole frames, and perhaps the code of a close."""
    handshake = "\r\n".join(["GET /ws HTTP/1.1", *_UPGRADE, "", ""])
    head, _, body = (await talk(url, handshake, bytes.fromhex(stream))).partition(b"\r\n\r\n")
    assert not head or head.startswith(b"HTTP/1.1 101 ")
    for frame in received(body):
        if frame.opcode is Opcode.TEXT:
            assert b'"reason":"internal"' not in frame.data
            json.loads(bytes(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            assert Close.parse(frame.data).code in _CLOSES
        else:
            assert frame.opcode is Opcode.PONG


async def knock(url: str, lines: list[str]) -> None:
    """Any lines as a handshake: refused as a wrong request, or accepted; never an error of ours."""
    answer = await talk(url, "\r\n".join([*lines, "", ""]), b"")
    for status in re.findall(rb"^HTTP/1\.1 (\d+) ", answer):
        assert status == b"101" or 400 <= int(status) < 500, answer[:500]


_FIRST = st.sampled_from(
    ["GET /ws HTTP/1.1"] * 3
    + ["GET /ws HTTP/1.0", "POST /ws HTTP/1.1", f"GET /ws?token={SECRET}", f"GET /ws?token={SECRET} HTTP/1.1"]
)
_MORE = [
    "Origin: null",
    "Origin: http://[",
    "Origin: https://elsewhere.example",
    "Host: [",
    "Host:",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Protocol: a, b",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=1",
    "X-Forwarded-For: nobody, ::1, 1.2.3.4:x",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Upgrade: h2c",
    f"Authorization: Bearer {SECRET}",
    f"Authorization: Bearer {SECRET}\x00",
    f"Authorization Bearer {SECRET}",
    f" {SECRET}",
]
_ODD = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
HANDSHAKES = st.builds(
    lambda first, usual, more: [first, *usual, *more],
    _FIRST | _ODD,
    st.just(_UPGRADE) | st.lists(st.sampled_from(_UPGRADE), max_size=6),
    st.lists(st.sampled_from(_MORE) | _ODD, max_size=3),
)


async def others_go_on(url: str) -> None:
    client = await Client.connect(url)
    assert (await client.call("ping"))["time"]
    await client.close()


async def pour_and_see(scene: Scene, stream: str) -> None:
    await pour(scene.system.url(), stream)
    await others_go_on(scene.system.url())
    scene.look_around()


async def knock_and_see(scene: Scene, lines: list[str]) -> None:
    await knock(scene.system.url(), lines)
    await others_go_on(scene.system.url())
    scene.look_around()


@pytest.mark.parametrize("path", kept("streams"), ids=lambda path: path.stem)
def test_streams_that_were_kept(scene: Scene, path: Path) -> None:
    asyncio.run(pour_and_see(scene, read(path)))


@pytest.mark.parametrize("path", kept("handshakes"), ids=lambda path: path.stem)
def test_handshakes_that_were_kept(scene: Scene, path: Path) -> None:
    asyncio.run(knock_and_see(scene, read(path)))


def test_streams(scene: Scene) -> None:
    with asyncio.Runner() as runner:
        hunt(
            "streams",
            STREAMS,
            lambda stream: runner.run(pour_and_see(scene, stream)),
            examples=60,
            share=0.1,
        )


def test_handshakes(scene: Scene) -> None:
    with asyncio.Runner() as runner:
        hunt(
            "handshakes",
            HANDSHAKES,
            lambda lines: runner.run(knock_and_see(scene, lines)),
            examples=60,
            share=0.05,
        )
