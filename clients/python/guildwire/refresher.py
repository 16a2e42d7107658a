"""Asks again for what is stale: what the app shows first, a few at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from guildwire.backoff import Backoff
from guildwire.cache.cache import Ask, Cache
from guildwire.cache.reads import READS
from guildwire.errors import Disconnected, NotFound, RateLimited, Refused, Unavailable

AT_ONCE = 4
RELIST_WITHIN = 2.0
"""Seconds: all who see a channel move ask for the new order; not all in the same moment.

So do all whom a deletion leaves in doubt of their read states; what else comes into doubt meanwhile costs nothing more.
"""


class Refresher:
    """`ask` sends one request and lets the cache have its reply."""

    def __init__(
        self,
        cache: Cache,
        ask: Callable[[str, Mapping[str, Any]], Awaitable[Any]],
        focus: Callable[[], Sequence[str]],
    ) -> None:
        self._cache = cache
        self._ask = ask
        self._focus = focus
        self._woken = asyncio.Event()
        self._backoff = Backoff()
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._progress = asyncio.Event()
        self._awaited = asyncio.Event()
        """Set while somebody waits until it is caught up."""

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._work_off()
        finally:
            for task in self._running.values():
                task.cancel()

    async def caught_up(self) -> None:
        """Waits until nothing that the app shows is stale."""
        self._awaited.set()
        try:
            self.wake()
            while self._is_behind():
                self._progress.clear()
                await self._progress.wait()
        finally:
            self._awaited.clear()

    def _is_behind(self) -> bool:
        shown = {self._cache.self_scope, *self._focus()}
        return any(
            ask.scope in shown and ("since" in ask.params or ask.part == READS)
            for ask in self._cache.stale(self._focus())
        )

    async def _work_off(self) -> None:
        """The list as it is now; whoever wakes us meanwhile gets a new one made."""
        for ask in self._cache.stale(self._focus()):
            while len(self._running) >= AT_ONCE:
                await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
            if self._woken.is_set():
                return
            key = (ask.scope, ask.method)
            if key not in self._running and self._is_wanted(ask):
                self._running[key] = asyncio.create_task(self._refresh(key, ask))

    def _is_wanted(self, ask: Ask) -> bool:
        """Another request may have brought it meanwhile."""
        return ask.part == "user" or not self._cache.is_current(ask.scope, ask.part) or "since" not in ask.params

    async def _refresh(self, key: tuple[str, str], ask: Ask) -> None:
        again = False
        try:
            again = await self._try(ask)
        except Disconnected:
            pass  # the next connection begins with a list of its own
        finally:
            del self._running[key]
            self._progress.set()
        if again:
            self.wake()

    async def _try(self, ask: Ask) -> bool:
        """Whether it has to be tried once more."""
        if "since" not in ask.params and ask.part != "user":
            await self._linger(ask)
        try:
            await self._ask(ask.method, ask.params)
        except RateLimited as error:
            await asyncio.sleep(error.retry_after + self._backoff.next())
            return True
        except Unavailable:
            await asyncio.sleep(self._backoff.next())
            return True
        except Refused as error:
            self._cache.refused(ask, "not_found" if isinstance(error, NotFound) else error.reason)
            return False
        if ask.part == "user" or self._cache.is_current(ask.scope, ask.part):
            self._backoff.reset()
            return False
        await asyncio.sleep(self._backoff.next())
        return True

    async def _linger(self, ask: Ask) -> None:
        """A moment of its own for each client; read states are not kept from somebody who waits for them."""
        seconds = random.uniform(0, RELIST_WITHIN)  # noqa: S311 - spreads load
        if ask.part != READS:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awaited.wait()
