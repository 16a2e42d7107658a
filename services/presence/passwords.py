"""Argon2id in a bounded pool: by default a hash takes 64 MiB (RFC 9106, the low-memory choice), so few run at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import Unavailable

_LANES = 4
_WAITING_PER_WORKER = 50
T = TypeVar("T")


class Passwords:
    """Nobody waits longer than `patience` seconds; what has not begun by then never does."""

    def __init__(self, workers: int, memory_kib: int, passes: int, patience: float) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=_LANES)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._room = workers * _WAITING_PER_WORKER
        self._patience = patience
        self._decoy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await self._in_pool(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the stored hash's password. No stored hash takes just as long: time must not tell names."""

        def verify() -> bool:
            try:
                self._hasher.verify(stored or self._decoy, password)
            except (VerificationError, InvalidHashError):
                return False
            return stored is not None

        return await self._in_pool(verify)

    async def _in_pool(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise _too_many()
        begin_by = time.monotonic() + self._patience

        def in_time() -> T:
            if time.monotonic() > begin_by:
                raise _too_many()
            return work()

        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_time)
        finally:
            self._room += 1


def _too_many() -> Unavailable:
    return Unavailable("Too many log-ins at once; try again.")
