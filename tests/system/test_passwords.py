"""Passwords at their true cost, which other tests turn down."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.rig import CHEAP_PASSWORDS, People, System, refused


@pytest_asyncio.fixture
async def careful(make_system: Callable[..., System]) -> AsyncIterator[People]:
    """People of a system whose passwords cost what they do by default."""
    system = make_system(gateways=1, env={"presence": dict.fromkeys(CHEAP_PASSWORDS, "")})
    system.start()
    people = People(system)
    yield people
    await people.close()


async def test_a_bad_login_takes_as_long_for_a_name_nobody_has(careful: People) -> None:
    """Else the time would say what the words do not."""
    ann = await careful.register("ann")
    client = await careful.open()

    async def seconds(name: str) -> float:
        begun = time.perf_counter()
        await refused(client.call("login", name=name, password="not her password"))
        return time.perf_counter() - begun

    # By turns, so that whatever else the machine does slows down both; and of each the best, which it left alone.
    tries = [(await seconds(ann.name), await seconds("nobody.at_all")) for _ in range(5)]
    known, unknown = (min(times) for times in zip(*tries, strict=True))
    assert unknown > known / 2


async def test_what_is_slow_holds_up_nothing_else(careful: People) -> None:
    """Passwords take long on purpose; a ping sent after them is answered before them."""
    client = await careful.open()
    slow = [await client.send("login", name="nobody.here", password="not a password") for _ in range(4)]
    await client.call("ping")
    assert not any(future.done() for future in slow[1:])
    for future in slow:
        assert (await refused(future)).reason == "unauthenticated"
