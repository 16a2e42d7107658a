"""The requests that a replica works on at once, so that one noisy server leaves places for all others."""

from __future__ import annotations

import random
from collections import Counter

from shared.errors import RateLimited
from shared.settings import Settings
from shared.token_buckets import refusal

ON_ACCOUNT_OF = "on-account-of"
"""The header that says for whom a request takes a place: a server, or who asks if it is about none of theirs."""

_COME_AGAIN = (0.2, 1.0)
"""Seconds between which each is told another time, or all would come again at once."""


class Places:
    def __init__(self, settings: Settings) -> None:
        self._all = settings.service_concurrency
        self._most = max(1, int(self._all * settings.service_share)) if settings.limits == "on" else self._all
        self._taken: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return self._taken.total() >= self._all

    def refusal(self, account: str) -> RateLimited | None:
        """Why it gets none of the places that there are; what is on nobody's account gets any."""
        if not account or self._taken[account] < self._most:
            return None
        return refusal("share", "Too many requests about this at once; slow down.", random.uniform(*_COME_AGAIN))  # noqa: S311

    def take(self, account: str) -> None:
        self._taken[account] += 1

    def free(self, account: str) -> None:
        self._taken[account] -= 1
        if not self._taken[account]:
            del self._taken[account]
