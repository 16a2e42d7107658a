"""The admin port, by what whoever reaches it may send."""

from __future__ import annotations

import asyncio

import pytest

from deploy.embedded import free_port
from shared.admin import Admin
from shared.settings import Settings

_PACKED = b"GET /healthz HTTP/1.1\r\nHost: admin\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nnot a gzip!!"


async def test_a_packed_body_is_never_unpacked() -> None:
    """So one that can't be does no harm either: the connection goes on."""
    port = free_port()
    admin = Admin(Settings(admin_port=port), lambda: True)
    await admin.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(_PACKED)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await asyncio.wait_for(reader.readexactly(len(b"alive\n")), 5) == b"alive\n"
        writer.close()
    finally:
        await admin.close()


@pytest.mark.parametrize(("request_line", "status"), [("POST /readyz", 405), ("PUT /metrics", 405), ("GET /x", 404)])
async def test_nothing_can_be_changed_there(request_line: str, status: int) -> None:
    port = free_port()
    admin = Admin(Settings(admin_port=port), lambda: True)
    await admin.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request_line} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(f"HTTP/1.1 {status} ".encode())
        writer.close()
    finally:
        await admin.close()
