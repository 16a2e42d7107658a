"""Direct channels and read states in the client's cache, by the rules, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from guildwire import Cache, Change

from tests.clients.wire import (
    ME,
    NEWEST,
    SELF,
    C,
    asked,
    chunk,
    connect,
    delta,
    event,
    message,
    position,
    settled,
    user,
)

D = "channel:d1"
PAGE: dict[str, Any] = {"channel_id": "d1", "amount": 50, "anchor": 0, "direction": False}


def direct(rev: int, *user_ids: str) -> dict[str, Any]:
    return {"id": "d1", "users": [user(each) for each in (ME, *user_ids)], "last_message_id": 0, "rev": rev}


def state(channel_id: str, read_id: int, mentions: int, last: int = 4) -> dict[str, Any]:
    at = {"read_id": read_id, "last_message_id": last}
    return {"channel_id": channel_id, "server_id": None, "mentions": mentions, **at}


def read_states(rev: int, *states: dict[str, Any]) -> dict[str, Any]:
    return {"rev": rev, "full": True, "read_states": list(states)}


def naming(number: int, rev: int) -> dict[str, Any]:
    """Another's message that names me."""
    return message(number, rev, author_id="u2", mentions=[ME])


def marks(cache: Cache, channel_id: str = "c1") -> tuple[int, int, int]:
    """Read up to, mentions since, and up to where they are counted."""
    known = cache.read_state(channel_id)
    assert known is not None
    return known["read_id"], known["mentions"], known["last_message_id"]


def loaded() -> Cache:
    cache = settled()
    cache.reply("get_direct_channels", {}, {"rev": 1, "full": True, "channels": [direct(1, "u2")]})
    cache.reply("get_message_chunk", PAGE, chunk(3, message(1, 3, "d1")))
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 1), state("d1", 1, 0, 1)))
    return cache


@pytest.mark.protocol("direct_channel_added", "direct_channel_deleted")
def test_one_is_opened_and_left() -> None:
    cache = settled()
    changes = cache.board.read()
    event(cache, "direct_channel_added", SELF, 2, channel=direct(2, "u2", "u3"), at=0)
    assert cache.direct_channels["d1"]["user_ids"] == [ME, "u2", "u3"]
    assert cache.user("u3") is not None
    event(cache, "message_added", D, 1, message=message(1, 1, "d1"))
    assert [each["id"] for each in cache.pages("d1").newest(9)] == [1]
    assert cache.pages("d1").complete
    event(cache, "direct_channel_added", SELF, 3, channel=direct(3, "u2"), at=1)
    assert cache.direct_channels["d1"]["user_ids"] == [ME, "u2"]
    assert position(cache, D) == 1
    event(cache, "direct_channel_deleted", SELF, 4, channel_id="d1")
    assert not cache.direct_channels
    assert position(cache, D) is None
    assert cache.message("d1", 1) is None
    told = [change for change in changes.take_all() if change.what == "direct"]
    assert told == [Change("direct", action, "d1") for action in ("added", "changed", "deleted")]


@pytest.mark.protocol("get_direct_channels")
def test_what_changed_while_away() -> None:
    cache = loaded()
    claim = {SELF: 2, "server:s1": 10, C: 20, D: 3}
    connect(cache, {name: rev for name, rev in claim.items() if name != SELF}, stale=[SELF])
    assert ("get_direct_channels", {"since": 1}) in asked(cache)
    cache.reply("get_direct_channels", {"since": 1}, delta(2, [], ["d1"]))
    assert not cache.direct_channels
    assert position(cache, D) is None


def test_a_gone_channel_may_be_a_direct_one() -> None:
    cache = loaded()
    connect(cache, {SELF: 1, "server:s1": 10, C: 20}, gone=[D])
    assert not cache.direct_channels
    assert cache.read_state("d1") is None


@pytest.mark.protocol("read_changed")
def test_reading_on() -> None:
    cache = loaded()
    event(cache, "message_added", C, 21, message=naming(5, 21))
    assert marks(cache) == (2, 2, 5)
    event(cache, "message_added", C, 22, message=message(6, 22, author_id="u2"))
    assert marks(cache) == (2, 2, 6)
    event(cache, "read_changed", SELF, 2, channel_id="c1", read_id=6, mentions=0)
    assert marks(cache) == (6, 0, 6)
    event(cache, "message_added", C, 23, message=message(7, 23))
    assert marks(cache) == (7, 0, 7)
    assert asked(cache) == []


def test_where_reading_begins_the_server_knows() -> None:
    cache = loaded()
    event(cache, "direct_channel_added", SELF, 2, channel={**direct(2, "u3"), "id": "d2"}, at=7)
    assert asked(cache) == [("get_read_states", {})]
    cache.reply("get_read_states", {}, read_states(2, state("c1", 2, 1), state("d1", 1, 0, 1), state("d2", 5, 0, 7)))
    assert marks(cache, "d2") == (5, 0, 7)
    assert asked(cache) == []


ALL = {SELF: 1, "server:s1": 10, C: 20, D: 3, "user:u2": 1}


@pytest.mark.protocol("get_read_states")
def test_after_a_time_away_in_which_nothing_was_missed_unread_marks_are_not_asked_for() -> None:
    cache = loaded()
    connect(cache, {**ALL, C: 21})
    event(cache, "message_added", C, 21, message=naming(5, 21))
    assert marks(cache) == (2, 2, 5)
    assert asked(cache) == []


@pytest.mark.protocol("get_read_states")
def test_what_was_missed_in_a_stale_channel_is_counted_by_the_server() -> None:
    cache = loaded()
    connect(cache, {name: rev for name, rev in ALL.items() if name != C}, stale=[C])
    assert ("get_read_states", {}) in asked(cache)
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 3, 6), state("d1", 1, 0, 1)))
    event(cache, "message_added", C, 23, message=naming(7, 23))
    cache.reply("get_message_chunk", {**NEWEST, "since": 20}, delta(23, [naming(5, 21), naming(6, 22), naming(7, 23)]))
    assert marks(cache) == (2, 4, 7)
    assert asked(cache) == []


def test_so_is_what_was_said_meanwhile_where_nothing_is_loaded() -> None:
    cache = loaded()
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 1), state("d1", 1, 0, 1), state("c2", 0, 0, 3)))
    connect(cache, ALL)
    assert asked(cache) == [("get_read_states", {})]


def test_nothing_is_counted_twice_and_nothing_left_out_whichever_comes_first_the_event_or_the_reply() -> None:
    cache = loaded()
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 2, 5), state("d1", 1, 0, 1)))
    event(cache, "message_added", C, 21, message=naming(5, 21))
    assert marks(cache) == (2, 2, 5)
    event(cache, "message_added", C, 22, message=naming(6, 22))
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 2, 5), state("d1", 1, 0, 1)))
    assert marks(cache) == (2, 3, 6)
    assert asked(cache) == []


def test_whom_a_deleted_message_named_that_is_not_here_the_server_knows() -> None:
    cache = loaded()
    event(cache, "message_deleted", C, 21, message_id=3)
    assert asked(cache) == [("get_read_states", {})]
    cache.reply("get_read_states", {}, read_states(1, state("c1", 2, 0), state("d1", 1, 0, 1)))
    event(cache, "message_deleted", C, 22, message_id=3)
    assert asked(cache) == []  # none is left that could have been named


def test_both_are_saved(tmp_path: Path) -> None:
    cache = loaded()
    cache.save(tmp_path / "cache")
    again = Cache.load(tmp_path / "cache")
    assert again.direct_channels == cache.direct_channels
    assert again.reads.states == cache.reads.states
    connect(again, {SELF: 1, "server:s1": 10, C: 20, D: 3, "user:u2": 1})
    assert asked(again) == []
    event(again, "read_changed", SELF, 2, channel_id="d1", read_id=1, mentions=0)
    assert marks(again, "d1") == (1, 0, 1)
