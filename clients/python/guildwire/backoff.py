"""How long to wait before trying again.

Capped exponential with full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Seconds. Each `next` is uniform between 0 and `first`, doubled with every round before it, at most `most`.

    A round is one try, or as many as there are places to try.
    """

    first: float = 0.5
    most: float = 30.0
    tries: int = 0
    places: int = 1

    def next(self) -> float:
        limit = min(self.most, self.first * 2 ** min(self.tries // self.places, 32))
        self.tries += 1
        return random.uniform(0, limit)  # noqa: S311 - spreads load, keeps no secret

    def at_least(self, rounds: int) -> None:
        """Begins no lower than after so many rounds."""
        self.tries = max(self.tries, rounds * self.places)

    def reset(self) -> None:
        self.tries = 0
