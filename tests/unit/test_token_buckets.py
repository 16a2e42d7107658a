"""Token buckets: how much at once, and how soon again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.token_buckets import LONGEST_TURN, Bucket, Buckets, Rate

RATE = Rate(burst=10, per_second=2)


def test_a_burst_is_free_and_then_it_goes_by_time() -> None:
    bucket = Bucket(RATE, now=0)
    assert bucket.wait(10, 0) == 0
    bucket.take(10, 0)
    assert bucket.wait(1, 0) == 0.5
    assert bucket.wait(4, 1) == 1
    assert bucket.wait(2, 1) == 0
    # It never holds more than its burst.
    assert bucket.wait(10, 1_000) == 0
    bucket.take(10, 1_000)
    assert bucket.wait(1, 1_000) == 0.5


def test_what_costs_more_than_there_ever_is_takes_all_of_it() -> None:
    bucket = Bucket(RATE, now=0)
    assert bucket.wait(25, 0) == 0
    bucket.take(25, 0)
    assert bucket.wait(25, 0) == 5


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 10)), max_size=60))
def test_nobody_gets_more_than_burst_and_rate_and_whoever_waits_gets_it(
    steps: list[tuple[float, float]],
) -> None:
    bucket, now, taken = Bucket(RATE, now=0), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        wait = bucket.wait(cost, now)
        if wait:
            assert bucket.wait(cost, now + wait * 0.99) > 0
            assert bucket.wait(cost, now + wait + 1e-9) == 0
            now += wait + 1e-9
        bucket.take(cost, now)
        taken += cost
        assert taken <= RATE.burst + now * RATE.per_second + 1e-6


def test_those_used_last_are_remembered() -> None:
    buckets = Buckets(RATE, most=2)
    for key in ("a", "b"):
        buckets.of(key, 0).take(10, 0)
    assert buckets.of("a", 0).wait(1, 0)
    buckets.of("c", 0)
    assert buckets.of("a", 0).wait(1, 0)
    assert not buckets.of("b", 0).wait(1, 0)


def test_who_is_told_to_come_again_is_told_another_time_than_the_others() -> None:
    """As many a second as tokens come back; those for whom that is too long are spread over all of it."""
    bucket = Bucket(Rate(burst=10, per_second=5), now=0)
    bucket.take(10, 0)
    assert [round(bucket.turn(1, 0), 6) for _ in range(4)] == [0.2, 0.4, 0.6, 0.8]
    others = [bucket.turn(1, 0) for _ in range(1000)][int(LONGEST_TURN * 5) :]
    assert max(others) <= LONGEST_TURN
    assert len({round(each) for each in others}) > LONGEST_TURN / 2
    assert round(bucket.turn(1, 100), 6) == 0.2
