"""How often a password may be guessed, so that nobody can try many, and nobody can keep the owner out by trying.

Wrong tries count by name and address together: few from one address. And by name alone, over all addresses: but not
from where the owner has a session, or they could be locked out by whoever has many addresses. Right ones count for
nothing: where as many as may be wrong are under way, a few more wait for how those end. A replica counts by itself;
requests of one name fall to one replica.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from shared.errors import Forbidden, Unauthenticated
from shared.settings import Settings
from shared.token_buckets import Bucket, Buckets, Rate, refusal

_FROM_ONE_ADDRESS = Rate(burst=10, per_second=0.2)
_FROM_ALL = Rate(burst=100, per_second=1)
"""One address alone can't come to its end: it gets back faster than that may try."""
_REMEMBERED = 100_000
_WAITING = 50
"""Tries that wait for others to end, of all names together: each keeps one of the service's places."""
_PATIENCE = 2.0


class Guesses:
    def __init__(self, settings: Settings) -> None:
        self._on = settings.limits == "on"
        self._from_one = Buckets(_FROM_ONE_ADDRESS, _REMEMBERED)
        self._from_all = Buckets(_FROM_ALL, _REMEMBERED)
        self._under_way: dict[Bucket, list[asyncio.Event]] = {}
        """The ends of the tries that a bucket has paid for and that are not judged yet, the oldest first."""
        self._waiting = 0

    @asynccontextmanager
    async def one(self, name: str, address: str, is_home: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """Around one try, which is paid for before it is known how it ends, and paid back unless it was wrong.

        `is_home` says whether the name's owner has a session from this address. Raises RateLimited.
        """
        if not self._on:
            yield
            return
        now = time.monotonic()
        near, far = self._from_one.of((name, address), now), self._from_all.of(name, now)
        async with self._paid_by(near):
            if far.wait(1, time.monotonic()) and await is_home():
                yield
            else:
                async with self._paid_by(far):
                    yield

    def of_own(self, user_id: str, session_id: str) -> AbstractAsyncContextManager[None]:
        """The same of who has a session and is asked for the password once more; each session has its own tries."""
        return self.one(user_id, session_id, _always)

    @asynccontextmanager
    async def _paid_by(self, bucket: Bucket) -> AsyncIterator[None]:
        await self._take(bucket)
        end, was_wrong = asyncio.Event(), False
        self._under_way.setdefault(bucket, []).append(end)
        try:
            yield
        except (Unauthenticated, Forbidden):
            was_wrong = True
            raise
        finally:
            if not was_wrong:
                bucket.give_back(1)
            self._under_way[bucket].remove(end)
            if not self._under_way[bucket]:
                del self._under_way[bucket]
            end.set()

    async def _take(self, bucket: Bucket) -> None:
        """Never more than the bucket has: whoever waits goes on with what a right try gave back."""
        until = time.monotonic() + _PATIENCE
        while wait := bucket.wait(1, time.monotonic()):
            if not await self._one_ends(bucket, until):
                raise refusal("guesses", "Too many wrong passwords; try again later.", wait)
        bucket.take(1, time.monotonic())

    async def _one_ends(self, bucket: Bucket, until: float) -> bool:
        """Waits for the oldest of the tries under way; False when there is none, or no place or time to wait."""
        oldest = next(iter(self._under_way.get(bucket, ())), None)
        if oldest is None or self._waiting >= _WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await oldest.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True


async def _always() -> bool:
    return True
