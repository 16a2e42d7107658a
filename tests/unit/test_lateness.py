"""Lateness is measured between two clocks that have nothing in common but their pace."""

from __future__ import annotations

from typing import cast

import pytest

from services.gateway.upstream import Upstream
from shared.bus import Bus, Headers, Reply
from shared.errors import Unavailable
from shared.lateness import Lateness
from shared.protocol.account import IDENTIFY, Identify
from shared.service import EXPIRED
from shared.settings import Settings

DELAY = 0.002
HOUR = 3600.0


@pytest.mark.parametrize("apart", [0.0, HOUR, -HOUR])
def test_what_comes_at_once_is_not_late_whatever_the_clocks_say(apart: float) -> None:
    lateness = Lateness()
    for second in range(1000):
        assert lateness.of("a", second, second + apart + DELAY) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("stood", [15, 150])
def test_what_waited_while_this_process_stood_still_is_late_by_so_much(stood: int) -> None:
    lateness = Lateness()
    for second in range(100):
        lateness.of("a", second, second + HOUR + DELAY)
    goes_on = 100 + stood
    for second in range(100, goes_on):
        assert lateness.of("a", second, goes_on + HOUR) == pytest.approx(goes_on - second, abs=0.1)
    assert lateness.of("a", goes_on, goes_on + HOUR + DELAY) == pytest.approx(0, abs=0.1)


def test_a_queue_that_never_ends_is_no_measure() -> None:
    """Ten minutes in which each waits for five seconds."""
    lateness = Lateness()
    lateness.of("a", 0, DELAY)
    assert all(lateness.of("a", second, second + 5) > 4.6 for second in range(1, 600))


def test_each_sender_has_a_clock_of_its_own() -> None:
    lateness = Lateness()
    assert [lateness.of(sender, sent, 50) for sender, sent in (("a", 10), ("b", 40), ("c", 90))] == [0, 0, 0]
    assert lateness.of("b", 40, 51) == pytest.approx(1, abs=0.01)


def test_clocks_that_drift_apart_make_nobody_late() -> None:
    """A ten-thousandth is more than clocks do: 9 s in a day."""
    lateness = Lateness()
    late = [lateness.of("a", second, second * 1.0001) for second in range(0, 24 * 3600, 5)]
    assert max(late) < 0.02


def test_after_a_long_silence_nobody_is_late_by_what_the_clocks_drifted() -> None:
    lateness = Lateness()
    lateness.of("a", 0, 0)
    assert lateness.of("a", 24 * HOUR, 24 * HOUR + 9) == 0


class _Late:
    """In the place of a bus: whatever is asked was sent too late."""

    def __init__(self) -> None:
        self.senders: list[str] = []

    async def request(self, _subject: str, _payload: bytes, headers: Headers, _within: float) -> Reply:
        self.senders.append(headers["sent"].partition(" ")[0])
        return Reply(b"", {"status": EXPIRED})


async def test_a_gateway_whose_clock_has_stood_still_begins_anew() -> None:
    """What it is told in time can't have been too late: services measure it by a clock that is no more."""
    late = _Late()
    upstream = Upstream(cast(Bus, late), Settings(affinity="off"))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await upstream.call(IDENTIFY, Identify(token="t"))
    assert len(set(late.senders)) == 3
