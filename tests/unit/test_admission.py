"""Who comes in at once, who waits, and what those are told for whom there is no room."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from services.gateway import admission
from services.gateway.admission import Admission
from shared.errors import Unauthenticated, Unavailable

AT_ONCE = 4


class Lobby:
    """Whoever comes stays until somebody `leaves`."""

    def __init__(self) -> None:
        self.admission = Admission(AT_ONCE)
        self.inside = 0
        self._leave = asyncio.Semaphore(0)
        self._coming: list[asyncio.Task[None]] = []

    async def come(self, amount: int, until: float = math.inf) -> None:
        self._coming += [asyncio.create_task(self._stay(until)) for _ in range(amount)]
        await self._settle()

    async def leaves(self) -> None:
        self._leave.release()
        await self._settle()

    async def close(self) -> None:
        for task in self._coming:
            task.cancel()
        await asyncio.gather(*self._coming, return_exceptions=True)

    async def _stay(self, until: float) -> None:
        with suppress(Unavailable):
            async with self.admission.place(until):
                self.inside += 1
                try:
                    await self._leave.acquire()
                finally:
                    self.inside -= 1

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_who_leaves_and_who_gives_up_makes_room() -> None:
    lobby = Lobby()
    await lobby.come(2 * AT_ONCE)
    assert (lobby.inside, lobby.admission.crowd > 0) == (AT_ONCE, True)
    await lobby.leaves()
    assert (lobby.inside, lobby.admission.crowd) == (AT_ONCE, 0)
    for _ in range(3):
        await lobby.close()
        assert not lobby.admission.crowd
        await lobby.come(2 * AT_ONCE)
        assert lobby.inside == AT_ONCE
    await lobby.close()


async def test_who_takes_long_keeps_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose view can't be had is waited for by who is in it, not by everybody."""
    monkeypatch.setattr(admission, "_HOLDS_A_PLACE", 0.02)
    lobby = Lobby()
    await lobby.come(3 * AT_ONCE)
    async with asyncio.timeout(5):
        while lobby.inside < 3 * AT_ONCE or lobby.admission.crowd:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    await lobby.close()
    monkeypatch.undo()
    await lobby.come(AT_ONCE + 1)
    assert lobby.inside == AT_ONCE, "a place that was given up is not free twice"
    await lobby.close()


async def test_a_crowd_is_told_how_quickly_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as quickly as places became free lately, while all were taken: not by who came too late to use one."""
    now = 1000.0
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now))
    lobby = Lobby()
    await lobby.come(2 * AT_ONCE)
    for _ in range(20 * AT_ONCE):
        now += 0.1
        await lobby.leaves()
        await lobby.come(1)
        await lobby.come(1, until=now)
    for _ in range(2 * AT_ONCE):
        now += 0.1
        await lobby.leaves()
    for _ in range(AT_ONCE):
        await lobby.come(1)
        now += 1000
        await lobby.leaves()
    await lobby.come(2 * AT_ONCE)
    now += 0.1
    await lobby.leaves()
    await lobby.come(1)
    assert round(lobby.admission.crowd, 3) == 0.05
    await lobby.close()


async def test_who_is_refused_at_once_does_not_quicken_the_pace() -> None:
    lobby = Lobby()
    await lobby.come(2 * AT_ONCE)
    before = lobby.admission.crowd

    async def refused() -> None:
        async with lobby.admission.place(math.inf):
            raise Unauthenticated("No.")

    refusals = asyncio.gather(*(refused() for _ in range(4 * AT_ONCE)), return_exceptions=True)
    await asyncio.sleep(0)
    await lobby.close()
    assert {type(each) for each in await refusals} == {Unauthenticated}
    await lobby.come(2 * AT_ONCE)
    assert lobby.admission.crowd == before
    await lobby.close()


async def test_a_process_that_stood_still_does_not_slow_down_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now))
    lobby = Lobby()
    await lobby.come(2 * AT_ONCE)
    now += 1000
    await lobby.leaves()
    await lobby.come(1)
    assert lobby.admission.crowd < 1
    await lobby.close()


async def test_what_can_no_longer_be_in_time_is_not_begun() -> None:
    with pytest.raises(Unavailable):
        async with Admission(AT_ONCE).place(time.monotonic() + 0.5):
            pytest.fail("It was begun.")
