"""Message pages: whatever is asked and heard, between the ends of a range nothing is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from guildwire.cache.pages import Pages, Ranges
from hypothesis import given
from hypothesis import strategies as st

Message = dict[str, Any]


def message(number: int, rev: int = 1) -> Message:
    return {"id": number, "channel_id": "c", "content": f"{number} at {rev}", "rev": rev}


@dataclass
class Channel:
    """What the server has, and the pages it gives of it."""

    live: dict[int, Message] = field(default_factory=dict)
    last: int = 0
    rev: int = 0

    def add(self) -> Message:
        self.last += 1
        self.live[self.last] = message(self.last)
        return self.live[self.last]

    def page(self, amount: int, *, anchor: int = 0, direction: bool = False, around: int | None = None) -> Message:
        ids = sorted(self.live)
        if around is not None:
            below = [number for number in ids if number < around][-(amount // 2) or len(ids) :] if amount > 1 else []
            above = [number for number in ids if number >= around][: amount - amount // 2]
            chosen = [*below, *above]
            more = len(chosen) < len(ids)
        elif anchor == 0:
            chosen, more = ids[-amount:], len(ids) > amount and not direction
        else:
            beyond = [number for number in ids if (number > anchor if direction else number < anchor)]
            chosen = beyond[:amount] if direction else beyond[-amount:]
            more = len(beyond) > amount
        return {
            "rev": self.rev,
            "full": True,
            "messages": [self.live[number] for number in chosen],
            "has_more": more,
            "last_message_id": self.last,
            "replies": [],
        }


def untrue(pages: Pages, channel: Channel) -> dict[str, tuple[Any, Any]]:
    """What the pages say that is not so: each with what it is in the channel."""
    held, there = pages.newest(1000), [channel.live[number] for number in sorted(channel.live)]
    said: dict[str, tuple[Any, Any]] = {}
    for low, high in pages.ranges.spans:
        known = [number for number in sorted(pages.messages) if low <= number <= high]
        said[f"{low} to {high}"] = (known, [number for number in sorted(channel.live) if low <= number <= high])
    if pages.live_end:
        said["the newest"] = (held, there[-len(held) or 10**6 :])
    if pages.complete:
        said["all"] = (held, there)
    for number in (*channel.live, channel.last + 1):
        if (before := pages.has_before(number)) is not None:
            said[f"something before {number}"] = (before, any(other < number for other in channel.live))
    return {claim: (says, is_so) for claim, (says, is_so) in said.items() if says != is_so}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("delete"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("newest"), st.integers(1, 6), st.booleans()),
        st.tuples(st.just("older"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("around"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("away"), st.integers(1, 6), st.booleans()),
    ),
    max_size=40,
)


@dataclass
class Reader:
    """A channel and what one client knows of it."""

    channel: Channel = field(default_factory=Channel)
    pages: Pages = field(default_factory=Pages)

    def add(self, number: int, _flag: bool) -> None:
        for _ in range(number):
            self.pages.take_new(self.channel.add())

    def delete(self, number: int, _flag: bool) -> None:
        if self.channel.live.pop(number, None):
            self.pages.messages.pop(number, None)

    def newest(self, number: int, flag: bool) -> None:
        self.read(number, anchor=0, direction=flag)

    def older(self, number: int, flag: bool) -> None:
        self.read(3, anchor=number, direction=flag)

    def around(self, number: int, _flag: bool) -> None:
        self.read(3, around=number)

    def away(self, number: int, flag: bool) -> None:
        """Gone for a while, and told by a delta what happened meanwhile."""
        gone = sorted(self.channel.live)[-1:] if flag else []
        for each in gone:
            del self.channel.live[each]
        self.pages.take_delta([self.channel.add() for _ in range(number)], gone, 0)

    def read(self, amount: int, **place: Any) -> None:
        self.pages.take_page({"amount": amount, **place}, self.channel.page(amount, **place))


@given(STEPS)
def test_ranges_have_no_gaps(steps: list[tuple[str, int, bool]]) -> None:
    reader = Reader()
    for kind, number, flag in steps:
        getattr(reader, kind)(number, flag)
        assert untrue(reader.pages, reader.channel) == {}


PLACES: list[tuple[str, dict[str, Any], list[int], bool, list[tuple[int, int]], bool]] = [
    # what was asked, ids in the page, has_more -> ranges, reaches the end; the channel's last id is 9
    ("newest, more", {"anchor": 0, "direction": False}, [7, 8, 9], True, [(7, 9)], True),
    ("newest, all", {"anchor": 0, "direction": False}, [4, 9], False, [(1, 9)], True),
    ("newest, last one deleted", {"anchor": 0, "direction": False}, [6, 7], True, [(6, 9)], True),
    ("newest asked as newer says nothing of older", {"anchor": 0, "direction": True}, [7, 8], False, [(7, 9)], True),
    ("all deleted", {"anchor": 0, "direction": False}, [], False, [(1, 9)], True),
    ("older, more", {"anchor": 6, "direction": False}, [3, 4], True, [(3, 5)], False),
    ("older, all", {"anchor": 6, "direction": False}, [3, 4], False, [(1, 5)], False),
    ("older, nothing", {"anchor": 6, "direction": False}, [], False, [(1, 5)], False),
    ("newer, more", {"anchor": 3, "direction": True}, [5, 6], True, [(4, 6)], False),
    ("newer, all", {"anchor": 3, "direction": True}, [5, 6], False, [(4, 9)], True),
    ("newer, nothing, and nothing known below", {"anchor": 9, "direction": True}, [], False, [], False),
    ("around, more somewhere", {"around": 5}, [4, 6], True, [(4, 6)], False),
    ("around, all", {"around": 5}, [4, 6], False, [(1, 9)], True),
    ("around, nothing newer", {"around": 5, "direction": True}, [4, 6], False, [(4, 9)], True),
    ("around, nothing older", {"around": 5, "direction": False}, [4, 6], False, [(1, 6)], False),
]


@pytest.mark.parametrize(
    ("asked", "ids", "more", "spans", "to_end"), [row[1:] for row in PLACES], ids=[r[0] for r in PLACES]
)
def test_what_a_page_covers(
    asked: dict[str, Any], ids: list[int], more: bool, spans: list[tuple[int, int]], to_end: bool
) -> None:
    pages = Pages()
    page = {"messages": [message(each) for each in ids], "has_more": more, "last_message_id": 9, "replies": []}
    pages.take_page({"amount": 3, **asked}, page)
    assert (pages.ranges.spans, pages.live_end) == (spans, to_end)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)), max_size=12))
def test_ranges_are_disjoint_and_never_touch(spans: list[tuple[int, int]]) -> None:
    ranges = Ranges((low, low + length) for low, length in spans)
    inside = {number for low, length in spans for number in range(low, low + length + 1)}
    assert {number for low, high in ranges.spans for number in range(low, high + 1)} == inside
    assert all(high + 1 < low for (_, high), (low, _) in zip(ranges.spans, ranges.spans[1:], strict=False))
    assert all((number in ranges) == (number in inside) for number in range(40))


def test_targets_of_replies_are_held_outside_the_ranges() -> None:
    pages = Pages()
    page = {"messages": [message(8)], "has_more": True, "last_message_id": 8, "replies": [message(2)]}
    pages.take_page({"amount": 1, "anchor": 0, "direction": False}, page)
    assert [each["id"] for each in pages.newest(10)] == [8]
    assert pages.messages[2]["id"] == 2
    assert pages.before(8, 10) == []
    pages.take_delta([message(2, rev=5), message(3, rev=6)], [], 0)
    assert pages.messages[2]["rev"] == 5
    assert 3 not in pages.messages


def test_an_older_whole_message_does_not_replace_mine() -> None:
    pages = Pages()
    assert pages.take(message(1, rev=4))
    assert not pages.take(message(1, rev=3))
    assert pages.take(message(1, rev=4))
    assert pages.messages[1]["rev"] == 4


def test_trimming_keeps_the_newest_and_forgets_that_it_knew_more() -> None:
    pages = Pages()
    for number in range(1, 11):
        pages.take_new(message(number))
    assert pages.has_before(7)
    pages.trim(4)
    assert [each["id"] for each in pages.newest(10)] == [7, 8, 9, 10]
    assert pages.has_before(7) is None
