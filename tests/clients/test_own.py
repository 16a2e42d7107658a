"""Friends and settings in the client's cache: parts of my own scope, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from guildwire import Cache, Change

from tests.clients.wire import SELF, asked, connect, delta, event, settled, user


def friend(user_id: str, rev: int, state: str = "friend") -> dict[str, Any]:
    return {"user": user(user_id), "state": state, "rev": rev}


def listed(cache: Cache, rev: int, *friends: dict[str, Any], next_anchor: str | None = None, **params: Any) -> None:
    reply = {"rev": rev, "full": True, "friends": list(friends), "next_anchor": next_anchor}
    cache.reply("get_friends", params, reply)


def states(cache: Cache) -> dict[str, str]:
    return {user_id: each["state"] for user_id, each in cache.friends.all.items()}


@pytest.fixture
def cache() -> Cache:
    """With two friends and settings, at revision 5 of self."""
    made = settled()
    event(made, "friend_added", SELF, 4, friend=friend("u8", 4, "outgoing"))
    listed(made, 5, friend("u8", 4, "outgoing"), friend("u9", 5))
    made.reply("get_settings", {}, {"settings": {"theme": "dark"}, "rev": 5, "full": True})
    return made


@pytest.mark.protocol("get_friends", "friend_added", "friend_changed", "friend_deleted")
def test_events_move_the_list(cache: Cache) -> None:
    changes = cache.board.read()
    event(cache, "friend_changed", SELF, 6, user_id="u8", state="friend")
    event(cache, "friend_deleted", SELF, 7, user_id="u9")
    event(cache, "friend_added", SELF, 8, friend=friend("u7", 8, "blocked_by"), more=True)
    event(cache, "friend_changed", SELF, 8, user_id="u7", state="blocked_by")
    assert states(cache) == {"u8": "friend", "u7": "blocked_by"}
    assert [each["rev"] for each in cache.friends.all.values()] == [6, 8]
    assert cache.user("u7") is not None
    told = [(change.action, change.id) for change in changes.take_all() if change.what == "friend"]
    assert told == [("changed", "u8"), ("deleted", "u9"), ("added", "u7"), ("changed", "u7")]


def test_what_is_older_changes_nothing(cache: Cache) -> None:
    event(cache, "friend_deleted", SELF, 5, user_id="u8")
    event(cache, "settings_changed", SELF, 5, settings={})
    cache.reply("update_friend", {"user_id": "u9", "state": "blocked"}, friend("u9", 3, "blocked"))
    cache.reply("update_settings", {"settings": {}}, {"settings": {}, "rev": 3})
    assert states(cache) == {"u8": "outgoing", "u9": "friend"}
    assert cache.settings.value == {"theme": "dark"}


def test_my_own_change_shows_before_its_event(cache: Cache) -> None:
    cache.reply("add_friend", {"user_id": "u7"}, friend("u7", 6, "outgoing"))
    cache.reply("update_settings", {"settings": {"theme": "light"}}, {"settings": {"theme": "light"}, "rev": 7})
    assert states(cache)["u7"] == "outgoing"
    assert cache.settings.value == {"theme": "light"}
    event(cache, "friend_deleted", SELF, 8, user_id="u7")
    assert "u7" not in states(cache)


def test_after_a_time_away_only_what_changed_is_asked_for(cache: Cache) -> None:
    connect(cache, {"server:s1": 10}, stale=[SELF])
    wanted = [(method, params) for method, params in asked(cache) if method in {"get_friends", "get_settings"}]
    assert wanted == [("get_friends", {"since": 5}), ("get_settings", {"since": 5})]
    cache.reply("get_friends", {"since": 5}, delta(9, [friend("u7", 8)], ["u8"]))
    cache.reply("get_settings", {"since": 5}, delta(9, [{"settings": {"new": 1}, "rev": 9}]))
    assert states(cache) == {"u7": "friend", "u9": "friend"}
    assert cache.settings.value == {"new": 1}
    assert not {"get_friends", "get_settings"} & {method for method, _ in asked(cache)}


def test_a_list_in_pages_is_complete_with_the_last() -> None:
    cache = settled()
    listed(cache, 5, friend("u1", 1), next_anchor="u1")
    complete = [cache.friends.complete]
    event(cache, "friend_changed", SELF, 6, user_id="u9", state="blocked")  # on a page that has not come
    event(cache, "friend_deleted", SELF, 7, user_id="u1")
    listed(cache, 7, friend("u9", 6, "blocked"), anchor="u1")
    assert [*complete, cache.friends.complete] == [False, True]
    assert states(cache) == {"u9": "blocked"}


def test_it_is_saved_and_cleared(cache: Cache, tmp_path: Path) -> None:
    cache.save(tmp_path / "cache.json")
    again = Cache.load(tmp_path / "cache.json")
    assert states(again) == {"u8": "outgoing", "u9": "friend"}
    assert again.friends.complete
    assert again.settings.value == {"theme": "dark"}
    assert again.claims()[0].scopes[SELF] == cache.claims()[0].scopes[SELF]
    changes = again.board.read()
    again.clear()
    assert (again.friends.all, again.friends.complete, again.settings.value) == ({}, False, {})
    assert changes.take_all() == [Change("cache", "deleted")]


def test_a_whole_user_older_than_what_was_heard_of_them_is_asked_for_again() -> None:
    cache = Cache()
    connect(cache, {SELF: 1})
    listed(cache, 1)
    cache.reply("get_user", {"user_id": "u7"}, {"full": True, **user("u7", 2)})
    event(cache, "user_changed", "user:u7", 4, user_id="u7", changes={"status_text": "new"}, was=3)
    event(cache, "friend_added", SELF, 2, friend={"user": user("u7", 3), "state": "incoming", "rev": 2})
    assert asked(cache) == [("get_users", {"users": {"u7": 3}})]
    cache.reply("get_users", {"users": {"u7": 3}}, {"users": [user("u7", 4, status_text="new")]})
    assert asked(cache) == []
    assert cache.user("u7") == user("u7", 4, status_text="new")
