"""A bare TCP connection to a gateway, for what no client would send."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
)
_CLOSE, _TEXT = 0x88, 0x81
_DEFLATED, _MASKED = 0x40, 0x80
_NO_MASK = b"\0\0\0\0"


def text_frame(payload: bytes, *, deflated: bool = False) -> bytes:
    """As a client sends it (RFC 6455, 5.2), with a mask that changes nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([_MASKED | size])
    elif size < 1 << 16:
        length = bytes([_MASKED | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([_MASKED | 127]) + size.to_bytes(8, "big")
    return bytes([_TEXT | (_DEFLATED if deflated else 0)]) + length + _NO_MASK + payload


class Raw:
    """One connection; `began` is when it was opened, on the monotonic clock."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.began = time.monotonic()

    @classmethod
    async def connect(cls, url: str) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", urlsplit(url).port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def upgrade(self, address: str) -> bytes:
        """Asks for a WebSocket as if it came from this address; returns the head of the answer."""
        await self.send(UPGRADE + f"X-Forwarded-For: {address}\r\n\r\n".encode())
        return await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def trickle(self, data: bytes, every: float) -> None:
        """A byte now, and one each so many seconds, until nobody takes any more."""
        with suppress(ConnectionError):
            for byte in data:
                await self.send(bytes([byte]))
                await asyncio.sleep(every)

    async def ended(self, patience: float) -> float:
        """Waits for the other side to close, and returns how many seconds the connection lasted."""
        await self._rest(patience)
        return time.monotonic() - self.began

    async def close_code(self, patience: float) -> int | None:
        """The code with which the other side closes, if it says one."""
        rest = await self._rest(patience)
        return int.from_bytes(rest[2:4], "big") if len(rest) >= 4 and rest[0] == _CLOSE else None

    async def _rest(self, patience: float) -> bytes:
        rest = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(patience):
                while more := await self._reader.read(1 << 16):
                    rest += more
                    if rest[:1] == bytes([_CLOSE]):
                        break
        return rest
