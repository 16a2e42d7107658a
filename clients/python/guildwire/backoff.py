"""How long to wait before trying again.

Capped exponential with full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Seconds. Each `next` is uniform between 0 and `first`, doubled with every one before it, at most `most`."""

    first: float = 0.5
    most: float = 30.0
    tries: int = 0

    def next(self) -> float:
        limit = min(self.most, self.first * 2 ** min(self.tries, 32))
        self.tries += 1
        return random.uniform(0, limit)  # noqa: S311 - spreads load, keeps no secret

    def at_least(self, tries: int) -> None:
        """Begins no lower than after so many tries."""
        self.tries = max(self.tries, tries)

    def reset(self) -> None:
        self.tries = 0
