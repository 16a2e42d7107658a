"""How late a request comes, though no two hosts agree what time it is.

Each says when it was sent, by its sender's monotonic clock. That differs from ours by some amount which nobody knows,
and which stays the same but for the drift of two clocks. So whichever came with the least difference lately was hardly
late at all, and what another has beyond that, it has waited: in a full queue, or while this process stood still.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

_LATELY = 60.0
"""Seconds, by the sender's clock: of what waited together, none may be the measure of the others."""

_SENDERS = 1_000


@dataclass(slots=True)
class _Least:
    """The least difference seen from one sender, in the span that began then and in the one before."""

    began: float
    now: float = math.inf
    before: float = math.inf

    def seen(self, sent: float, difference: float) -> float:
        if sent >= self.began + _LATELY:
            self.before = self.now if sent < self.began + 2 * _LATELY else math.inf
            self.began, self.now = sent, math.inf
        self.now = min(self.now, difference)
        return min(self.now, self.before)


class Lateness:
    """Of the requests to one process."""

    def __init__(self) -> None:
        self._least: OrderedDict[str, _Least] = OrderedDict()

    def of(self, sender: str, sent: float, now: float) -> float:
        """Seconds that a request has waited until `now`; 0 for the first of a sender."""
        least = self._least.setdefault(sender, _Least(sent))
        self._least.move_to_end(sender)
        if len(self._least) > _SENDERS:
            self._least.popitem(last=False)
        return now - sent - least.seen(sent, now - sent)
