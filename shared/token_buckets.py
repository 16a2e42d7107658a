"""Token buckets: how much somebody may do at once, and how soon again. No I/O: times are the caller's."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from shared.errors import RateLimited
from shared.telemetry import REFUSED

LONGEST_TURN = 60.0


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` tokens at once; `per_second` come back."""

    burst: float
    per_second: float


class Bucket:
    """Begins full. `now` is on one monotonic clock."""

    __slots__ = ("_at", "_left", "_rate", "_turn")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at = now
        self._turn = now

    def wait(self, cost: float, now: float) -> float:
        """Seconds until so much is there, if nobody takes any meanwhile; 0 when it is there now."""
        self._refill(now)
        return max(min(cost, self._rate.burst) - self._left, 0) / self._rate.per_second

    def turn(self, cost: float, now: float, apart: float = 0, longest: float = LONGEST_TURN) -> float:
        """Seconds after which to ask again: each of those who are told so is told another time, the `longest` at most.

        As quick as tokens come back, or so many seconds `apart` where that is slower; where it is too long for all of
        them, the others at any time until then.
        """
        apart = max(apart, cost / self._rate.per_second)
        turn = max(now + max(self.wait(cost, now), apart), self._turn + apart)
        if turn > now + longest:
            return random.uniform(min(apart, longest), longest)  # noqa: S311 - spreads load
        self._turn = turn
        return turn - now

    def take(self, cost: float, now: float) -> None:
        """To be called once there is nothing to wait for. A cost above the burst takes all there is."""
        self._refill(now)
        self._left = max(self._left - cost, 0)

    def give_back(self, cost: float) -> None:
        self._left = min(self._left + cost, self._rate.burst)

    def _refill(self, now: float) -> None:
        self._left = min(self._left + (now - self._at) * self._rate.per_second, self._rate.burst)
        self._at = now


class Buckets:
    """One bucket for each key, of the `most` that were used last: who is forgotten begins with a full one."""

    def __init__(self, rate: Rate, most: int) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def of(self, key: Hashable, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


def refusal(why: str, message: str, wait: float) -> RateLimited:
    """What is said to who must wait so many seconds, and counted as refused for this reason."""
    REFUSED.labels(why=why).inc()
    return RateLimited(message, retry_after_ms=math.ceil(wait * 1000))
