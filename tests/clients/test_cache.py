"""The cache's rules, one by one, without a server: the protocol's section 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from guildwire import Cache, Change

from tests.clients.wire import (
    ME,
    NEWEST,
    SELF,
    C,
    S,
    asked,
    channel,
    chunk,
    connect,
    contents,
    delta,
    event,
    listing,
    message,
    position,
    role,
    server,
    settled,
    user,
)

Step = Callable[[Cache], object]


# One change.

CHANGES: list[tuple[str, int, int, int, int, str]] = [
    # my rev, was, rev -> my rev after, what became of it
    ("based on mine", 20, 20, 21, 21, "new"),
    ("the same one again", 21, 20, 21, 21, "old"),
    ("one I have passed", 25, 20, 21, 25, "old"),
    ("based on what I never had", 19, 20, 21, 19, "old"),
]


@pytest.mark.parametrize(
    ("mine", "was", "rev", "after", "content"), [row[1:] for row in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_a_change_applies_to_what_it_is_based_on(mine: int, was: int, rev: int, after: int, content: str) -> None:
    cache = settled()
    cache.messages.pages["c1"].messages[4] = message(4, mine, content="old")
    event(cache, "message_changed", C, rev, message_id=4, changes={"content": "new"}, was=was)
    found = cache.message("c1", 4)
    assert found is not None
    assert (found["rev"], found["content"]) == (after, content)
    # Mine is stale: it is asked for again, from where mine stands.
    assert asked(cache) == ([("get_message_chunk", {**NEWEST, "since": mine})] if mine < was else [])


def test_a_rev_that_came_with_a_list_may_be_later_than_the_last_change() -> None:
    cache = settled()
    event(cache, "server_updated", S, 12, server_id="s1", changes={"name": "new"}, was=3)
    event(cache, "channel_updated", S, 13, channel_id="c1", changes={"name": "new"}, was=2)
    assert cache.servers["s1"].entity["name"] == "new"
    assert cache.servers["s1"].channels["c1"]["name"] == "new"
    assert asked(cache) == []


def test_a_whole_entity_replaces_mine_if_it_is_not_older() -> None:
    cache = settled()
    for rev, name, expected in ((1, "same", "same"), (3, "newer", "newer"), (2, "older", "newer")):
        cache.reply("get_user", {"user_id": "u2"}, {**user("u2", rev, name=name), "full": True})
        assert cache.users.all()["u2"]["name"] == expected


def test_what_one_holds_is_never_changed_in_place() -> None:
    cache = settled()
    before = cache.pages("c1").messages[4]
    event(cache, "message_changed", C, 21, message_id=4, changes={"content": "new"}, was=20)
    assert before["content"] == "message 4"


# Positions.


def test_only_events_move_a_position_and_of_several_with_one_rev_the_last() -> None:
    cache = settled()
    assert (position(cache, S), position(cache, C)) == (10, 20)
    cache.reply("get_message_chunk", {**NEWEST, "anchor": 2}, chunk(23, message(1, 5), last_message_id=4))
    assert position(cache, C) == 20
    event(cache, "role_added", S, 14, role=role("r2", 14), more=True)
    assert position(cache, S) == 10
    event(cache, "channel_added", S, 14, channel=channel("c3", 14), at=0)
    assert position(cache, S) == 14
    event(cache, "something_new", S, 15, whatever=1)
    assert position(cache, S) == 15


def test_a_part_read_later_does_not_move_the_others() -> None:
    cache = settled()
    cache.reply("get_server_roles", {"server_id": "s1"}, {"rev": 12, "full": True, "roles": [role("r2", 12)]})
    event(cache, "something_new", S, 11)
    assert position(cache, S) == 11
    event(cache, "role_added", S, 12, role=role("r2", 12, name="held back behind the reply"), more=True)
    event(cache, "channel_added", S, 12, channel=channel("c3", 12), at=0)
    assert cache.servers["s1"].roles["r2"]["name"] == "r2"
    assert "c3" in cache.servers["s1"].channels
    assert position(cache, S) == 12


def test_a_reply_that_events_have_overtaken_is_not_used() -> None:
    cache = settled()
    event(cache, "channel_deleted", S, 11, channel_id="c1")
    event(cache, "channel_added", S, 12, channel=channel("c1", 3), at=30)
    assert not cache.reply("get_message_chunk", NEWEST, chunk(20, message(1, 5)))
    assert contents(cache) == []
    assert cache.reply("get_message_chunk", NEWEST, chunk(30, message(9, 30)))
    assert contents(cache) == ["message 9"]


def test_what_is_no_longer_mine_is_not_filled_by_a_late_reply() -> None:
    cache = settled()
    event(cache, "server_deleted", SELF, 2, server_id="s1", why="left")
    assert cache.servers == {}
    cache.reply("get_server", {"server_id": "s1"}, {**server(rev=10), "full": True})
    cache.reply("get_server_channels", {"server_id": "s1"}, {"rev": 10, "full": True, "categories": listing("c1")})
    cache.reply("get_message_chunk", NEWEST, chunk(20, message(1, 5)))
    assert (cache.servers, cache.messages.pages) == ({}, {})
    assert set(cache.positions.scopes()) == {SELF, f"user:{ME}", "user:u2"}


def test_the_whole_list_says_which_servers_are_mine() -> None:
    cache = settled()
    cache.reply("get_servers", {"since": 1}, {"rev": 5, "full": True, "servers": [server("s2", 3)]})
    assert list(cache.servers) == ["s2"]
    cache.reply("get_servers", {"since": 5}, delta(6, [server("s3", 2)], ["s2"]))
    assert list(cache.servers) == ["s3"]


def test_a_listing_does_not_wait_for_the_events_of_its_servers() -> None:
    cache = Cache()
    connect(cache, {SELF: 1, "server:s1": 10, "server:s2": 20})
    event(cache, "server_updated", "server:s2", 21, server_id="s2", changes={"name": "new"}, was=3)
    cache.reply("get_servers", {}, {"rev": 1, "full": True, "servers": [server("s1"), server("s2", 3)]})
    # Of s1 nothing was heard: it is as of the reply to authenticate. What was heard of s2 may be missing in the list.
    assert asked(cache) == [("get_server", {"server_id": "s2", "since": 3})]
    event(cache, "server_updated", "server:s1", 11, server_id="s1", changes={"name": "new"}, was=1)
    assert cache.servers["s1"].entity["name"] == "new"


# What events do.


def test_joining_brings_the_server_whole() -> None:
    cache = settled()
    scopes = {"server:s2": 7, "channel:c8": 0, "channel:c9": 3}
    params = {"server": server("s2", 7), "channels": listing("c8", "c9"), "roles": [role("r9")], "scopes": scopes}
    event(cache, "server_added", SELF, 2, **params)
    assert [each["id"] for each in cache.servers["s2"].in_order()] == ["c8", "c9"]
    assert asked(cache) == []
    # Nothing ever happened in c8, so all of it is known; of c9 nothing is.
    assert cache.pages("c8").complete
    assert not cache.pages("c9").complete
    event(cache, "message_added", "channel:c8", 1, message=message(1, 1, "c8"))
    event(cache, "message_added", "channel:c9", 4, message=message(3, 4, "c9"))
    assert cache.pages("c8").complete
    assert cache.pages("c9").has_before(3) is None
    assert contents(cache, "c9") == ["message 3"]


def test_losing_and_gaining_sight_of_a_channel_forgets_its_messages() -> None:
    cache = settled()
    event(cache, "channel_deleted", S, 11, channel_id="c1")
    assert cache.pages("c1").messages == {}
    event(cache, "channel_added", S, 12, channel=channel("c1", 2), at=25)
    event(cache, "message_added", C, 26, message=message(8, 26))
    assert contents(cache) == ["message 8"]
    assert not cache.pages("c1").complete


def test_my_reactions_are_told_apart_from_others() -> None:
    cache = settled()
    steps: list[tuple[int, str, bool, int, bool]] = [
        (21, "u2", True, 1, False),
        (22, ME, True, 2, True),
        (23, "u2", False, 1, True),
    ]
    for rev, who, on, count, mine in steps:
        reaction = {"emoji": "👍", "user_id": who, "on": on}
        changes = {"reactions": [{"emoji": "👍", "count": count}]}
        event(cache, "message_changed", C, rev, message_id=4, changes=changes, reaction=reaction, was=rev - 1)
        found = cache.message("c1", 4)
        assert found is not None
        assert found["reactions"] == [{"emoji": "👍", "count": count, "me": mine}]


def test_a_deleted_role_is_stripped_from_members_and_channels() -> None:
    cache = settled()
    event(cache, "member_changed", S, 11, user_id=ME, changes={"roles": ["r1"]}, was=1)
    overwrite = {"role_id": "r1", "allow": [], "deny": []}
    event(cache, "channel_added", S, 12, channel=channel("c3", 12, roles=[overwrite], roles_with_access=["r1"]), at=0)
    held = cache.servers["s1"]
    assert held.members[ME]["roles"] == held.entity["me"]["roles"] == ["r1"]
    event(cache, "role_deleted", S, 13, role_id="r1")
    assert held.members[ME]["roles"] == held.entity["me"]["roles"] == []
    assert (held.channels["c3"]["roles"], held.channels["c3"]["roles_with_access"]) == ([], [])
    assert held.roles == {}


def test_a_deleted_category_lets_its_channels_go() -> None:
    cache = settled()
    category = {"id": "k1", "name": "k1", "position": 1, "rev": 11}
    event(cache, "category_added", S, 11, category=category)
    event(cache, "channel_added", S, 12, channel=channel("c3", 12, category_id="k1"), at=0)
    event(cache, "category_updated", S, 13, category_id="k1", changes={"name": "new"}, was=11)
    assert cache.servers["s1"].categories["k1"]["name"] == "new"
    event(cache, "category_deleted", S, 14, category_id="k1", more=True)
    event(cache, "channel_updated", S, 14, channel_id="c3", changes={"category_id": None}, was=12)
    assert cache.servers["s1"].categories == {}
    assert cache.servers["s1"].channels["c3"]["category_id"] is None


def test_a_moved_channel_has_the_order_asked_for_again() -> None:
    cache = settled()
    event(cache, "channel_updated", S, 11, channel_id="c1", changes={"position": 5}, was=1)
    assert asked(cache) == [("get_server_channels", {"server_id": "s1"})]
    moved = {"rev": 11, "full": True, "categories": listing("c2", "c1")}
    cache.reply("get_server_channels", {"server_id": "s1"}, moved)
    assert [each["id"] for each in cache.servers["s1"].in_order()] == ["c2", "c1"]
    assert asked(cache) == []


def test_users_are_the_last_ones_handed_over() -> None:
    cache = Cache(most_users=3)
    connect(cache, {SELF: 1})
    for number in range(2, 6):
        cache.users.take(user(f"u{number}"))
    assert sorted(cache.users.all()) == [ME, "u4", "u5"]
    assert cache.users.surplus == ["user:u2", "user:u3"]
    event(cache, "user_changed", "user:u5", 2, user_id="u5", changes={"status": "idle"}, was=1)
    event(cache, "user_changed", "user:u2", 2, user_id="u2", changes={"status": "idle"}, was=1)
    assert cache.users.all()["u5"]["status"] == "idle"
    cache.event("forgotten", {"scopes": ["user:u5"]})
    assert cache.user("u5") is None
    assert position(cache, "user:u5") is None


# What writes answer.

LATE: list[tuple[str, list[Step], list[str]]] = [
    ("reply, then event", [lambda c: _reply(c, 21), lambda c: _added(c, 21)], ["message 5"]),
    ("event, then reply", [lambda c: _added(c, 21), lambda c: _reply(c, 21)], ["message 5"]),
    (
        "deleted before the reply came",
        [lambda c: _added(c, 21), lambda c: _deleted(c, 22), lambda c: _reply(c, 21)],
        [],
    ),
]


@pytest.mark.parametrize(("steps", "expected"), [row[1:] for row in LATE], ids=[row[0] for row in LATE])
def test_a_reply_and_its_event_come_in_either_order(steps: list[Step], expected: list[str]) -> None:
    cache = settled()
    for step in steps:
        step(cache)
    assert contents(cache)[3:] == expected


def _reply(cache: Cache, rev: int) -> None:
    cache.reply("add_message", {"channel_id": "c1"}, message(5, rev))


def _added(cache: Cache, rev: int) -> None:
    event(cache, "message_added", C, rev, message={**message(5, rev), "nonce": "n"})
    assert cache.made_with("n") == 5
    assert "nonce" not in (cache.message("c1", 5) or {})


def _deleted(cache: Cache, rev: int) -> None:
    event(cache, "message_deleted", C, rev, message_id=5)


def test_my_message_does_not_overtake_those_before_it() -> None:
    cache = settled()
    with cache.board.read() as changes:
        cache.reply("add_message", {"channel_id": "c1"}, message(6, 22))
        assert contents(cache)[3:] == []
        assert changes.take_all() == []
        event(cache, "message_added", C, 21, message=message(5, 21))
        event(cache, "message_added", C, 22, message=message(6, 22))
        assert changes.take_all() == [Change("message", "added", 5, "c1"), Change("message", "added", 6, "c1")]
    assert contents(cache)[3:] == ["message 5", "message 6"]


def test_unknown_events_methods_and_fields_are_ignored() -> None:
    cache = settled()
    before = cache.message("c1", 4)
    cache.event("from_the_future", {"anything": 1})
    event(cache, "from_the_future", "planet:9", 3)
    cache.reply("get_planets", {}, {"rev": 1, "full": True, "planets": []})
    cache.reply("add_planet", {}, {"id": "p", "rev": 1})
    assert cache.message("c1", 4) == before


def test_what_others_may_see_is_not_taken_for_mine() -> None:
    cache = settled()
    shared: dict[str, Any] = {"rev": 1, "full": True, "servers": []}
    cache.reply("get_servers", {"user_id": "u2"}, shared)
    cache.reply(
        "get_server_channels", {"server_id": "s1", "user_id": "u2"}, {"rev": 10, "full": True, "categories": []}
    )
    assert list(cache.servers["s1"].channels) == ["c1", "c2"]
