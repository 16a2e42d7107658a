"""Whom a gateway tells that somebody types: who is known to see the channel, and has room for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from services.gateway.connection import EVERYTHING, Connection
from services.gateway.interest import Interest
from services.gateway.outbox import Outbox
from services.gateway.upstream import Upstream
from shared.bus import Bus
from shared.scopes import Scope, channel_scope, server_scope
from shared.settings import Settings
from shared.typing_notice import TypingNotice

SERVER, CHANNEL, DIRECT = server_scope("s"), channel_scope("c", "s"), channel_scope("d", "")


class Wire(asyncio.Transport):
    """Keeps what it is given; `unsent` bytes wait in front of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written += b"".join(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return False


@pytest.fixture
async def interest() -> Interest:
    settings = Settings(name="test")
    bus = Bus(settings, "gateway")
    return Interest(bus, Upstream(bus, settings), settings)


async def connected(interest: Interest, user_id: str, *scopes: Scope) -> tuple[Connection, Wire]:
    wire = Wire()
    connection = Connection(Outbox(wire, 1000), lambda _code: None)
    connection.user_id = user_id
    for scope in scopes:
        interest.join(interest.follow(scope, 5), connection, 5)
    return connection, wire


async def told(interest: Interest, wire: Wire, notice: TypingNotice) -> bool:
    wire.written = b""
    interest.hear(notice.hint(""))
    await asyncio.sleep(0)
    return b"typing_started" in wire.written


async def test_permissions_must_be_known_up_to_where_it_was_judged(interest: Interest) -> None:
    _, wire = await connected(interest, "u", SERVER, CHANNEL)
    assert await told(interest, wire, TypingNotice(CHANNEL, "v", perm_rev=5))
    assert not await told(interest, wire, TypingNotice(CHANNEL, "v", perm_rev=6))


async def test_only_who_sees_the_channel(interest: Interest) -> None:
    _, wire = await connected(interest, "u", SERVER)
    await connected(interest, "v", SERVER, CHANNEL)
    assert not await told(interest, wire, TypingNotice(CHANNEL, "v", perm_rev=5))


async def test_of_a_direct_channel_whom_it_is_for(interest: Interest) -> None:
    _, wire = await connected(interest, "u", DIRECT)
    assert await told(interest, wire, TypingNotice(DIRECT, "v", people=["u", "v"]))
    assert not await told(interest, wire, TypingNotice(DIRECT, "v", people=["v", "w"]))


async def test_of_another_history_nothing(interest: Interest) -> None:
    _, wire = await connected(interest, "u", DIRECT)
    interest.hear(TypingNotice(DIRECT, "v").hint("another epoch"))
    await asyncio.sleep(0)
    assert not wire.written


async def test_it_is_the_first_to_be_dropped(interest: Interest) -> None:
    connection, wire = await connected(interest, "u", DIRECT)
    notice = TypingNotice(DIRECT, "v")
    wire.unsent = 501
    assert not await told(interest, wire, notice)
    wire.unsent = 500
    assert await told(interest, wire, notice)
    connection.hold([EVERYTHING])
    assert not await told(interest, wire, notice)
    connection.release([EVERYTHING])
    wire.unsent = 0
    connection.hold([DIRECT.name])
    connection.event(DIRECT, b"held")
    assert not await told(interest, wire, notice)
    connection.release([DIRECT.name])
    assert await told(interest, wire, notice)
