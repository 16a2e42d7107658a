"""The model that judges the system must itself be able to judge: each broken rule is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cache import Cache
from tests.client import Event, Reply

ME, SERVER, CHANNEL = "me", "s", "c"


def event(method: str, scope: str, rev: int, **params: Any) -> Event:
    return Event(method, {"scope": scope, "rev": rev, **params}, 0.0)


def reply(method: str, result: dict[str, Any], **params: Any) -> Reply:
    return Reply(method, params, result, None, 0.0)


def message(number: int, rev: int, content: str = "") -> dict[str, Any]:
    return {"id": number, "channel_id": CHANNEL, "author_id": "other", "content": content, "rev": rev}


def said(number: int, rev: int) -> Event:
    return event("message_added", f"channel:{CHANNEL}", rev, message=message(number, rev))


def edited(number: int, rev: int, was: int, content: str = "new") -> Event:
    params = {"message_id": number, "was": was, "changes": {"content": content}}
    return event("message_changed", f"channel:{CHANNEL}", rev, **params)


def page(rev: int, *messages: dict[str, Any]) -> Reply:
    result = {"rev": rev, "full": True, "messages": list(messages), "has_more": False}
    return reply("get_message_chunk", result, channel_id=CHANNEL, anchor=0, direction=False)


def joined(rev: int, channel_rev: int = 1) -> Event:
    server = {"id": SERVER, "name": "x", "owner_id": ME, "rev": 1}
    channels = [{"id": None, "channels": [{"id": CHANNEL, "name": "general"}]}]
    scopes = {f"server:{SERVER}": 1, f"channel:{CHANNEL}": channel_rev}
    return event("server_added", f"self:{ME}", rev, server=server, channels=channels, roles=[], scopes=scopes)


def left(rev: int) -> Event:
    return event("server_deleted", f"self:{ME}", rev, server_id=SERVER, why="left")


@pytest.fixture
def cache() -> Cache:
    """Authenticated at 3, in one server with one channel of one message."""
    made = Cache(ME)
    made.apply(reply("authenticate", {"current": {f"self:{ME}": 3}}))
    made.apply(reply("get_servers", {"rev": 3, "full": True, "servers": []}))
    made.apply(joined(4))
    made.apply(page(1, message(1, 1, "first")))
    assert not made.violations
    return made


BROKEN: dict[str, tuple[list[Event | Reply], str]] = {
    "missing": ([said(3, 3)], "rev 3 after 1: missing"),
    "missing later": ([said(2, 2), said(3, 4)], "rev 4 after 2: missing"),
    "missing in self": ([left(6)], "rev 6 after 4: missing"),
    "twice": ([said(2, 2), said(2, 2)], "rev 2 twice"),
    "out of order": ([said(2, 2), said(3, 3), edited(2, 2, 2)], "rev 2 after 3"),
    "stale": ([edited(1, 2, 9)], "is stale"),
    "an older reply": ([said(2, 2), page(1, message(1, 1))], "at 1 after the event 2"),
    "a message after leaving": ([left(5), said(2, 2)], "after it was gone"),
    "a channel after leaving": ([left(5), event("channel_added", f"server:{SERVER}", 2)], "after it was gone"),
    "an unknown server": ([event("x", "server:t", 1)], "before anything told of it"),
    "an unknown channel": ([event("x", "channel:t", 1)], "before anything told of it"),
    "an id again": ([said(5, 2), said(4, 3)], "message 4 of"),
    "another rev inside": ([event("message_added", f"channel:{CHANNEL}", 2, message=message(2, 3))], "of rev 3"),
    "half a change": ([event("x", f"channel:{CHANNEL}", 2, more=True), said(2, 3)], "before the last event of 2"),
}


@pytest.mark.parametrize(("received", "noticed"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_is_noticed(cache: Cache, received: list[Event | Reply], noticed: str) -> None:
    for item in received:
        cache.apply(item)
    assert [violation for violation in cache.violations if noticed in violation]


def test_a_scope_goes_on_from_where_a_reply_put_it(cache: Cache) -> None:
    for item in (page(4, message(4, 4)), said(2, 2), said(3, 3), said(4, 4), said(5, 5)):
        cache.apply(item)
    assert not cache.violations
    assert cache.position(f"channel:{CHANNEL}") == 5
    assert sorted(cache.messages[CHANNEL]) == [1, 2, 3, 4, 5]


def test_of_several_events_with_one_rev_the_last_moves_on(cache: Cache) -> None:
    cache.apply(event("x", f"channel:{CHANNEL}", 2, more=True))
    assert cache.position(f"channel:{CHANNEL}") == 1
    cache.apply(event("x", f"channel:{CHANNEL}", 2))
    assert cache.position(f"channel:{CHANNEL}") == 2
    assert not cache.violations


def test_an_older_entity_replaces_nothing(cache: Cache) -> None:
    cache.apply(edited(1, 2, 1))
    cache.apply(reply("add_message", message(1, 1, "first")))
    assert cache.messages[CHANNEL][1] == message(1, 2, "new")


def test_what_was_deleted_does_not_come_back(cache: Cache) -> None:
    cache.apply(event("message_deleted", f"channel:{CHANNEL}", 2, message_id=1))
    cache.apply(reply("add_message", message(1, 1, "first")))
    assert cache.messages[CHANNEL] == {}


def test_coming_back_begins_anew(cache: Cache) -> None:
    cache.apply(said(2, 2))
    cache.apply(left(5))
    assert not any(cache.snapshot().values())
    for item in (joined(6, channel_rev=7), page(7, message(9, 7)), said(10, 8)):
        cache.apply(item)
    assert not cache.violations
    assert sorted(cache.messages[CHANNEL]) == [9, 10]


def test_a_list_may_tell_of_leaving_before_the_event_does(cache: Cache) -> None:
    for item in (reply("get_servers", {"rev": 5, "servers": []}), said(2, 2), left(5), joined(6, channel_rev=7)):
        cache.apply(item)
    cache.apply(said(8, 8))
    assert not cache.violations
