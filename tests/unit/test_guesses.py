"""Passwords tried side by side: right ones cost nothing, wrong ones are no more than one after the other."""

from __future__ import annotations

import asyncio

import pytest

from services.presence import guesses
from services.presence.guesses import Guesses
from shared.errors import RateLimited, Unauthenticated, Unavailable
from shared.settings import Settings

FROM_ONE, FROM_ALL, WAITING = 10, 100, 50
WRONG = Unauthenticated("No.")


class Tries:
    """Passwords tried for one name, and how many of them anybody looked at."""

    def __init__(self) -> None:
        self.guesses = Guesses(Settings())
        self.looked_at = 0

    async def one(self, address: str = "192.0.2.1", failure: Exception | None = None, lasts: float = 0.01) -> str:
        try:
            async with self.guesses.one("ann", address, self.is_home):
                self.looked_at += 1
                await asyncio.sleep(lasts)
                if failure is not None:
                    raise failure
        except (Unauthenticated, RateLimited, Unavailable) as error:
            return error.reason
        return "in"

    async def is_home(self) -> bool:
        return False

    @property
    def are_over(self) -> bool:
        return not self.guesses._under_way and not self.guesses._waiting


async def test_right_ones_are_looked_at_however_many_come_at_once() -> None:
    tries = Tries()
    found = await asyncio.gather(*(tries.one() for _ in range(FROM_ONE + WAITING)))
    assert set(found) == {"in"}
    assert tries.are_over
    assert await tries.one() == "in"


async def test_wrong_ones_side_by_side_are_no_more_than_one_after_the_other() -> None:
    tries = Tries()
    found = await asyncio.gather(*(tries.one(failure=WRONG) for _ in range(FROM_ONE + WAITING)))
    assert tries.looked_at == FROM_ONE
    assert (found.count("unauthenticated"), found.count("rate_limited")) == (FROM_ONE, WAITING)
    assert tries.are_over
    assert await tries.one() == "rate_limited"


async def test_right_ones_get_in_beside_wrong_ones_until_those_have_used_up_all() -> None:
    tries = Tries()
    wrong = [tries.one(failure=WRONG) for _ in range(FROM_ONE - 1)]
    found = await asyncio.gather(*wrong, *(tries.one() for _ in range(WAITING)))
    assert found == ["unauthenticated"] * (FROM_ONE - 1) + ["in"] * WAITING
    found = await asyncio.gather(tries.one(failure=WRONG), *(tries.one() for _ in range(WAITING)))
    assert found == ["unauthenticated"] + ["rate_limited"] * WAITING


async def test_wrong_ones_from_all_addresses_are_bounded_together() -> None:
    tries = Tries()
    addresses = [f"192.0.2.{each}" for each in range(15)] * FROM_ONE
    found = await asyncio.gather(*(tries.one(address, WRONG) for address in addresses))
    assert tries.looked_at == found.count("unauthenticated") == FROM_ALL


async def test_what_nobody_looked_at_costs_nothing() -> None:
    tries = Tries()
    for _ in range(2):
        found = await asyncio.gather(*(tries.one(failure=Unavailable()) for _ in range(FROM_ONE + WAITING)))
        assert set(found) == {"unavailable"}
    assert await tries.one() == "in"


async def test_only_so_many_wait_and_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "_PATIENCE", 0.05)
    tries = Tries()
    slow = [asyncio.create_task(tries.one(lasts=0.5)) for _ in range(FROM_ONE)]
    more = [asyncio.create_task(tries.one()) for _ in range(WAITING + 7)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.result() for task in more if task.done()] == ["rate_limited"] * 7
    assert set(await asyncio.gather(*more)) == {"rate_limited"}
    assert set(await asyncio.gather(*slow)) == {"in"}
    assert tries.are_over
