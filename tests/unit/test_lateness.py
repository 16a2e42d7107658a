"""Lateness is measured between two clocks that have nothing in common but their pace."""

from __future__ import annotations

import pytest

from shared.lateness import Lateness

DELAY = 0.002
HOUR = 3600.0


@pytest.mark.parametrize("apart", [0.0, HOUR, -HOUR])
def test_what_comes_at_once_is_not_late_whatever_the_clocks_say(apart: float) -> None:
    lateness = Lateness()
    for second in range(1000):
        assert lateness.of("a", second, second + apart + DELAY) == pytest.approx(0, abs=1e-6)


def test_what_waited_while_this_process_stood_still_is_late_by_so_much() -> None:
    lateness = Lateness()
    for second in range(100):
        lateness.of("a", second, second + HOUR + DELAY)
    goes_on = 150.0
    for second in range(100, 150):
        assert lateness.of("a", second, goes_on + HOUR) == pytest.approx(goes_on - second, abs=0.01)
    assert lateness.of("a", 150, 150 + HOUR + DELAY) == pytest.approx(0, abs=0.01)


def test_each_sender_has_a_clock_of_its_own() -> None:
    lateness = Lateness()
    assert [lateness.of(sender, sent, 50) for sender, sent in (("a", 10), ("b", 40), ("c", 90))] == [0, 0, 0]
    assert lateness.of("b", 40, 51) == 1


def test_clocks_that_drift_apart_make_nobody_late() -> None:
    """A ten-thousandth is more than clocks do: 9 s in a day."""
    lateness = Lateness()
    late = [lateness.of("a", second, second * 1.0001) for second in range(0, 24 * 3600, 5)]
    assert max(late) < 0.02


def test_after_a_long_silence_nobody_is_late_by_what_the_clocks_drifted() -> None:
    lateness = Lateness()
    lateness.of("a", 0, 0)
    assert lateness.of("a", 24 * HOUR, 24 * HOUR + 9) == 0
