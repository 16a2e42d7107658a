"""How late a request comes, though no two hosts agree what time it is.

Each says when it was sent, by its sender's monotonic clock. That differs from ours by some amount which nobody knows,
and which stays the same but for the drift of two clocks. So whichever came with the least difference was hardly late at
all, and what another has beyond that, it has waited: in a full queue, or while this process stood still.
"""

from __future__ import annotations

from collections import OrderedDict

_DRIFT = 0.0005
"""Seconds in a second by which two clocks may drift apart: several times what they do."""

_SENDERS = 1_000


class Lateness:
    """Of the requests to one process."""

    def __init__(self) -> None:
        self._least: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Of each sender, the least difference that is possible, and when it was so."""

    def of(self, sender: str, sent: float, now: float) -> float:
        """Seconds that a request has waited until `now`; 0 for the first of a sender, of whom nothing is known."""
        difference = now - sent
        least, then = self._least.get(sender, (difference, now))
        least = min(difference, least + _DRIFT * (now - then))
        self._least[sender] = least, now
        self._least.move_to_end(sender)
        if len(self._least) > _SENDERS:
            self._least.popitem(last=False)
        return difference - least
