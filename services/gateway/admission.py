"""How many come in at once, and how quickly one makes room for the next. No I/O.

How many the services can take back in a second nobody knows beforehand. At a rate that is too high for them all they
are asked would be answered too late, and asked again. Here who comes in makes room for the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import Unavailable

_HOLDS_A_PLACE = 1.0
"""Seconds, several times what it takes where all goes well."""

_WORTH_BEGINNING = 1.0
"""Seconds that must be left: else all of it would be asked for in vain."""


_MORE_THAN_COME_IN = 2
"""Times. Whoever comes too early is only told another time; where too few come, places stay empty for as long."""


class Admission:
    """`at_once` come in side by side; the others wait for a place. As many that wait are a crowd."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._places = asyncio.Semaphore(at_once)
        self._coming = 0
        self._apart = _HOLDS_A_PLACE / at_once
        """Seconds between two who came in lately, of times when all places were taken."""
        self._freed = time.monotonic()

    @property
    def crowd(self) -> float:
        """0 while one more may come; else how many seconds apart those who come shall be.

        Whoever comes while as many wait as come in at once would only make them all come too late.
        """
        return self._apart / _MORE_THAN_COME_IN if self._coming >= 2 * self._at_once else 0

    @asynccontextmanager
    async def place(self, until: float) -> AsyncIterator[None]:
        """Around the coming in, which shall be through by `until`, on the monotonic clock; raises Unavailable.

        Who takes long goes on without a place: what they wait for, others may not need.
        """
        self._coming += 1
        try:
            await self._take(until)
        except BaseException:
            self._coming -= 1
            raise
        held = True

        def free(*, counts: bool = True) -> None:
            nonlocal held
            if held:
                held = False
                self._coming -= 1
                self._free(counts=counts)

        late = asyncio.get_running_loop().call_later(_HOLDS_A_PLACE, free)
        try:
            yield
        except BaseException:
            # Who is refused at once makes room more quickly than anybody can come in.
            free(counts=False)
            raise
        finally:
            late.cancel()
            free()

    async def _take(self, until: float) -> None:
        if not self._places.locked():
            self._freed = time.monotonic()
        await self._places.acquire()
        if until - time.monotonic() < _WORTH_BEGINNING:
            self._places.release()
            raise Unavailable

    def _free(self, *, counts: bool) -> None:
        if counts and self._places.locked():
            now = time.monotonic()
            # Beyond that it was this process that stood still.
            interval = min(now - self._freed, _HOLDS_A_PLACE)
            self._apart += (interval - self._apart) / self._at_once
            self._freed = now
        self._places.release()
