"""Passwords in their pool: for whom nobody waits any more, nothing is hashed."""

from __future__ import annotations

import threading

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
