"""The messages of one channel that are known, and between which of them nothing is missing."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guildwire.cache.entities import Entity, replaces

MOST_MESSAGES = 10_000
"""Above it the oldest tenth of a channel's messages is let go."""


class Ranges:
    """Ids without gaps: disjoint closed intervals, ascending, never touching each other."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans: list[tuple[int, int]] = []
        for low, high in spans:
            self.add(low, high)

    def add(self, low: int, high: int) -> None:
        if low > high:
            return
        apart = [span for span in self._spans if span[1] < low - 1 or span[0] > high + 1]
        touching = [span for span in self._spans if span[1] >= low - 1 and span[0] <= high + 1]
        joined = (min([low, *(span[0] for span in touching)]), max([high, *(span[1] for span in touching)]))
        self._spans = sorted([*apart, joined])

    def remove_below(self, low: int) -> None:
        self._spans = [(max(span[0], low), span[1]) for span in self._spans if span[1] >= low]

    def around(self, number: int) -> tuple[int, int] | None:
        """The interval that has this id."""
        index = bisect.bisect_right(self._spans, (number, float("inf"))) - 1
        if index >= 0 and self._spans[index][1] >= number:
            return self._spans[index]
        return None

    @property
    def last(self) -> tuple[int, int] | None:
        return self._spans[-1] if self._spans else None

    @property
    def spans(self) -> list[tuple[int, int]]:
        return list(self._spans)

    def __contains__(self, number: int) -> bool:
        return self.around(number) is not None


@dataclass
class Pages:
    """`messages` also has some outside the ranges: targets of replies.

    `live_end`: the last range reaches to the channel's end, and new messages continue it.
    """

    messages: dict[int, Entity] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=Ranges)
    live_end: bool = False
    last_message_id: int = 0

    # Replies.

    def take_page(self, params: Mapping[str, Any], page: Mapping[str, Any]) -> None:
        """A page without `since`, with the params that asked for it."""
        self.last_message_id = max(self.last_message_id, page["last_message_id"])
        for message in (*page["messages"], *page["replies"]):
            self.take(message)
        low, high, to_end = _covered(params, page)
        self.ranges.add(low, high)
        last = self.ranges.last
        # Nothing above an anchor says something of the end only if what lies below the anchor is known.
        if to_end and (low == 1 or (last is not None and last[1] >= low - 1)):
            self.live_end = True
        self._limit()

    def take_delta(self, updated: Iterable[Entity], deleted: Iterable[int], last_message_id: int) -> list[int]:
        """What changed in the whole channel; returns the ids that concern what is held."""
        touched = [number for number in deleted if self.messages.pop(number, None) is not None]
        end = self._end
        for message in updated:
            if end is not None and message["id"] > end:
                last_message_id = max(last_message_id, message["id"])
            elif message["id"] not in self.messages and message["id"] not in self.ranges:
                continue
            self.take(message)
            touched.append(message["id"])
        self.last_message_id = max(self.last_message_id, last_message_id)
        if end is not None:
            self.ranges.add(max(end, 1), last_message_id)
        return touched

    def take(self, message: Mapping[str, Any]) -> bool:
        """A whole message, of which it is not said that nothing is missing before it."""
        if not replaces(self.messages.get(message["id"]), message):
            return False
        self.messages[message["id"]] = dict(message)
        return True

    # Events.

    def take_new(self, message: Mapping[str, Any]) -> bool:
        """The channel's newest message, right after the last one; False when it stood there already."""
        fresh = message["id"] not in self.ranges
        self.take(message)
        end = self._end
        self.ranges.add(message["id"] if end is None else max(end, 1), message["id"])
        self.live_end = True
        self.last_message_id = max(self.last_message_id, message["id"])
        self._limit()
        return fresh

    def take_own(self, message: Mapping[str, Any]) -> bool:
        """One that I just made: shown at once only where no other can stand before it whose event is yet to come."""
        if self._end is not None and message["id"] == self._end + 1:
            return self.take_new(message)
        self.take(message)
        return False

    def clear(self) -> None:
        self.messages.clear()
        self.ranges = Ranges()
        self.live_end = False

    # Reading.

    def newest(self, amount: int) -> list[Entity]:
        """The last messages of the channel without a gap; none while its end is not known."""
        last = self.ranges.last
        return self._downwards(last[1], last[0], amount) if last is not None and self.live_end else []

    def before(self, anchor: int, amount: int) -> list[Entity]:
        """The messages right below an id, as far as they are known without a gap."""
        span = self.ranges.around(anchor - 1)
        return self._downwards(anchor - 1, span[0], amount) if span else []

    def has_before(self, anchor: int) -> bool | None:
        """Whether there are messages below an id; None: not known without asking."""
        span = self.ranges.around(anchor - 1)
        if anchor <= 1:
            return False
        if span is None:
            return None
        if self._downwards(anchor - 1, span[0], 1):
            return True
        return None if span[0] > 1 else False

    @property
    def complete(self) -> bool:
        """All there is of the channel is known."""
        last = self.ranges.last
        return self.live_end and (last is None or last[0] <= 1)

    def trim(self, amount: int) -> None:
        """Keeps only the newest messages; what was read around older ones goes with them."""
        if len(self.messages) > amount:
            low = sorted(self.messages)[-amount]
            self.ranges.remove_below(low)
            self.messages = {number: message for number, message in self.messages.items() if number >= low}

    @property
    def _end(self) -> int | None:
        """The last id that the known end of the channel reaches to."""
        last = self.ranges.last
        return (last[1] if last is not None else 0) if self.live_end else None

    def _downwards(self, high: int, low: int, amount: int) -> list[Entity]:
        """Up to so many messages from `high` down to `low`, in ascending order."""
        held = (self.messages[number] for number in range(high, low - 1, -1) if number in self.messages)
        return list(itertools.islice(held, amount))[::-1]

    def _limit(self) -> None:
        if len(self.messages) > MOST_MESSAGES:
            self.trim(MOST_MESSAGES * 9 // 10)


def _covered(params: Mapping[str, Any], page: Mapping[str, Any]) -> tuple[int, int, bool]:
    """The ids between which a page leaves nothing out, and whether it reaches to the channel's end."""
    ids = [message["id"] for message in page["messages"]]
    low, high = (ids[0], ids[-1]) if ids else (1, 0)
    anchor, newer = params.get("anchor"), params.get("direction")
    end = max(high, page["last_message_id"])
    if params.get("around") is not None:
        if page["has_more"] or newer is None:
            return (low, high, False) if page["has_more"] else (1, end, True)
        return (low, end, True) if newer else (1, high, False)
    if not anchor:
        # Nothing is newer than the newest page: asked for what is newer, it does not say whether anything is older.
        return low if page["has_more"] or (newer and ids) else 1, end, True
    if newer:
        return anchor + 1, high if page["has_more"] else end, not page["has_more"]
    return low if page["has_more"] else 1, anchor - 1, False
