"""A password changed, a session ended, an account deleted: its sockets close soon, even if nobody is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from shared.protocol.account import SESSION_ENDED_SUBJECT
from tests.client import Client
from tests.faults.installation import GATEWAYS, Installation
from tests.faults.rows import sized
from tests.faults.traffic import quantile
from tests.rig import People, Person

TIMES = sized(4, 100)
CLOSED, UNTOLD = 2.0, 60.0
SESSION_ENDED = 4002

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(180, 600)), pytest.mark.asyncio(loop_scope="module")]

End = Callable[[Client, Person, str], Awaitable[object]]


async def password_changed(by: Client, person: Person, _session: str) -> None:
    changes = {"password": "another password", "old_password": person.password}
    await by.call("update_user", changes=changes)


async def session_deleted(by: Client, _person: Person, session: str) -> None:
    await by.call("delete_session", session_id=session)


async def account_deleted(by: Client, person: Person, _session: str) -> None:
    await by.call("delete_user", password=person.password)


async def ended(everything: Installation, end: End) -> float:
    """Somebody has a socket on each gateway, and ends that session from another one; seconds until all are closed."""
    people = People(everything)
    try:
        person = await people.register("ann")
        sockets = [await people.open(gateway) for gateway in range(GATEWAYS)]
        first, *_ = [await each.call("authenticate", token=person.token) for each in sockets]
        other = await people.open()
        made = await other.call("login", name=person.name, password=person.password)
        await other.call("authenticate", token=made["token"])
        began = time.monotonic()
        await end(other, person, first["session_id"])
        codes = await asyncio.gather(*(each.closed(UNTOLD) for each in sockets))
        assert set(codes) == {SESSION_ENDED}
        return time.monotonic() - began
    finally:
        await people.close()


@pytest.mark.row(13)
@pytest.mark.parametrize("end", [password_changed, session_deleted, account_deleted])
async def test_sockets_of_an_ended_session(everything: Installation, end: End, figures: dict[str, str]) -> None:
    took = [await ended(everything, end) for _ in range(TIMES)]
    for proxies in everything.hints.values():
        for proxy in proxies:
            proxy.lose_next(SESSION_ENDED_SUBJECT, 1000)
    untold = await asyncio.gather(*(ended(everything, end) for _ in range(sized(1, 5))))
    what = end.__name__.replace("_", " ")
    figures[f"{what}: closed p99"] = f"{quantile(took, 0.99):.2f} s of {TIMES}"
    figures["push lost"] = f"{max(untold):.1f} s"
    assert quantile(took, 0.99) < CLOSED
    assert min(untold) > max(took), "it was not told"
    assert max(untold) < UNTOLD
