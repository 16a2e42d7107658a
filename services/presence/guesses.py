"""How often a password may be guessed, so that nobody can try many, and nobody can keep the owner out by trying.

Wrong tries count by name and address together: few from one address. And by name alone, over all addresses: but not
from where the owner has a session, or they could be locked out by whoever has many addresses. Right ones count for
nothing, but while they are under way. A replica counts by itself; requests of one name fall to one replica.
"""

from __future__ import annotations

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


class Guesses:
    def __init__(self, settings: Settings) -> None:
        self._on = settings.limits == "on"
        self._from_one = Buckets(_FROM_ONE_ADDRESS, _REMEMBERED)
        self._from_all = Buckets(_FROM_ALL, _REMEMBERED)

    @asynccontextmanager
    async def one(self, name: str, address: str, is_home: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """Around one try, which is paid for before it is known how it ends, and paid back unless it is refused.

        `is_home` says whether the name's owner has a session from this address. Raises RateLimited.
        """
        if not self._on:
            yield
            return
        now = time.monotonic()
        near, far = self._from_one.of((name, address), now), self._from_all.of(name, now)
        paid: list[Bucket] = []
        try:
            _take(near, now, paid)
            if not far.wait(1, now) or not await is_home():
                _take(far, now, paid)
            yield
        except (Unauthenticated, Forbidden):
            paid.clear()
            raise
        finally:
            for bucket in paid:
                bucket.give_back(1)

    def of_own(self, user_id: str, session_id: str) -> AbstractAsyncContextManager[None]:
        """The same of who has a session and is asked for the password once more; each session has its own tries."""
        return self.one(user_id, session_id, _always)


async def _always() -> bool:
    return True


def _take(bucket: Bucket, now: float, paid: list[Bucket]) -> None:
    if wait := bucket.wait(1, now):
        raise refusal("guesses", "Too many wrong passwords; try again later.", wait)
    bucket.take(1, now)
    paid.append(bucket)
