"""Passwords in their pool: a few at once, and for whom nobody waits any more, nothing is hashed."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from services.presence.passwords import Passwords
from shared.errors import Unavailable


async def test_what_waited_too_long_for_its_turn_never_has_it() -> None:
    passwords, over = Passwords(workers=1, memory_kib=64, passes=1, patience=0.05), threading.Event()
    stored = await passwords.hash("correct horse")
    passwords._pool.submit(over.wait, 10)
    threading.Timer(0.2, over.set).start()
    with pytest.raises(Unavailable):
        await passwords.matches(stored, "correct horse")
    assert await passwords.matches(stored, "correct horse")


async def test_as_many_at_once_as_there_are_workers_and_so_many_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, room = 2, 2 * 50
    passwords, lock, running, seen = Passwords(workers, memory_kib=64, passes=1, patience=5), threading.Lock(), 0, []

    def slow_hash(_password: str) -> str:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return "hashed"

    monkeypatch.setattr(passwords, "_hasher", SimpleNamespace(hash=slow_hash))
    found = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(3 * room)), return_exceptions=True)
    assert max(seen) == workers
    assert found.count("hashed") == len(seen) == room
    assert sum(isinstance(each, Unavailable) for each in found) == 2 * room


async def test_what_is_stored_is_argon2id_with_the_memory_and_passes_that_are_set() -> None:
    passwords = Passwords(workers=1, memory_kib=64, passes=2, patience=5)
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=64,t=2,p=")
    assert "correct" not in stored
    assert stored != await passwords.hash("correct horse"), "each has a salt of its own"
