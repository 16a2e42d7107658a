"""The cache's rules for coming back: what is claimed, what is current, stale or gone, and what is asked again."""

from __future__ import annotations

import json

from guildwire import Change
from guildwire.cache.cache import LARGEST_CLAIM, Claim

from tests.clients.wire import (
    ME,
    NEWEST,
    SELF,
    C,
    Json,
    S,
    asked,
    channel,
    chunk,
    connect,
    contents,
    delta,
    event,
    listing,
    member,
    message,
    position,
    server,
    settled,
    user,
)


def test_current_means_that_the_missed_events_follow() -> None:
    cache = settled()
    connect(cache, {SELF: 1, S: 11, C: 22, f"user:{ME}": 1, "user:u2": 1})
    event(cache, "channel_updated", S, 11, channel_id="c2", changes={"name": "renamed"}, was=2)
    event(cache, "message_deleted", C, 21, message_id=2)
    event(cache, "message_added", C, 22, message=message(5, 22))
    assert contents(cache) == ["message 1", "message 4", "message 5"]
    assert cache.servers["s1"].channels["c2"]["name"] == "renamed"
    assert asked(cache) == []


def test_a_stale_scope_takes_no_events_until_it_was_asked_for() -> None:
    cache = settled()
    connect(cache, {SELF: 1, f"user:{ME}": 1, "user:u2": 1}, stale=[S, C])
    event(cache, "message_added", C, 31, message=message(9, 31))
    event(cache, "role_deleted", S, 15, role_id="r7")
    assert contents(cache) == ["message 1", "message 2", "message 4"]
    assert position(cache, C) == 20  # what would be claimed, were the connection lost now
    since = {"server_id": "s1", "since": 10}
    assert asked(cache, C) == [
        ("get_message_chunk", {**NEWEST, "since": 20}),
        ("get_server", since),
        ("get_server_channels", since),
        ("get_server_roles", since),
        ("get_server_members", {**since, "amount": 100}),
    ]
    cache.reply("get_message_chunk", {**NEWEST, "since": 20}, delta(31, [message(1, 25), message(9, 31)], [2]))
    assert [each["id"] for each in cache.pages("c1").newest(10)] == [1, 4, 9]
    event(cache, "message_added", C, 32, message=message(10, 32))
    assert [each["id"] for each in cache.pages("c1").newest(10)] == [1, 4, 9, 10]
    assert position(cache, C) == 32


def test_what_is_lost_and_regained_while_its_list_is_stale_begins_anew() -> None:
    """Its own scope was current all the while: only these events tell that something may be missing."""
    cache = settled()
    connect(cache, {S: 10, C: 20}, stale=[SELF])
    event(cache, "server_deleted", SELF, 5, server_id="s1", why="left")
    event(
        cache, "server_added", SELF, 6, server=server("s1", 30), channels=listing("c1"), roles=[], scopes={S: 30, C: 50}
    )
    cache.reply("get_servers", {"since": 1}, delta(6, [server("s1", 3)]))
    assert cache.servers["s1"].channels == {}
    assert contents(cache) == []
    cache = settled()
    connect(cache, {SELF: 1, C: 20}, stale=[S])
    event(cache, "channel_deleted", S, 15, channel_id="c1")
    event(cache, "channel_added", S, 16, channel=channel("c1", 3), at=40)
    cache.reply("get_server_channels", {"server_id": "s1", "since": 10}, delta(16, [channel("c1", 3)], categories=[]))
    assert contents(cache) == []
    event(cache, "message_added", C, 41, message=message(9, 41))
    assert contents(cache) == ["message 9"]


def test_full_in_answer_to_since_drops_every_page() -> None:
    cache = settled()
    connect(cache, {}, stale=[C])
    cache.reply("get_message_chunk", {**NEWEST, "since": 20}, chunk(400, message(300, 400), has_more=True))
    assert [each["id"] for each in cache.pages("c1").messages.values()] == [300]
    assert cache.pages("c1").has_before(300) is None
    connect(cache, {}, stale=[S])
    first = {"rev": 40, "full": True, "members": [member("u3")], "next_anchor": "more", "total": 150}
    cache.reply("get_server_members", {"server_id": "s1", "amount": 100, "since": 10}, first)
    assert list(cache.servers["s1"].members) == ["u3"]
    assert not cache.servers["s1"].all_members


def test_gone_takes_all_under_it_along() -> None:
    cache = settled()
    connect(cache, {SELF: 1}, gone=[S, "user:u2"])
    assert (cache.servers, cache.messages.pages, cache.user("u2")) == ({}, {}, None)
    assert [scope for scope in cache.positions.scopes() if scope.startswith(("server:", "channel:"))] == []
    cache = settled()
    connect(cache, {SELF: 1, S: 10}, gone=[C])
    assert list(cache.servers["s1"].channels) == ["c2"]
    assert cache.messages.pages == {}


def test_another_epoch_or_user_voids_everything() -> None:
    other: list[Json] = [{"epoch": "e2"}, {"user": user("u9")}]
    for reply in other:
        cache = settled()
        with cache.board.read() as changes:
            connect(cache, {SELF: 1, S: 10, C: 20}, **reply)
            assert Change("cache", "deleted") in changes.take_all()
        assert (cache.servers, cache.messages.pages) == ({}, {})
        assert position(cache, C) is None
        assert cache.epoch == reply.get("epoch", "e1")


def test_without_an_answer_to_a_claim_everything_is_stale() -> None:
    cache = settled()
    cache.disconnected()
    assert len(asked(cache)) == 7
    assert asked(cache)[0] == ("get_servers", {"since": 1})
    assert asked(cache)[-1] == ("get_users", {"users": {ME: 1, "u2": 1}})


def test_an_event_before_the_answer_to_its_claim_makes_it_stale() -> None:
    """The connection heard the scope before it knew the claim: what lies between may never be told."""
    cache = settled()
    cache.disconnected()
    first, later = Claim({SELF: 1, S: 10}), Claim({C: 20})
    cache.claimed([first, later])
    cache.authenticated({**_sorted({SELF: 1, S: 10}), "user": user(), "epoch": "e1"}, first)
    event(cache, "message_added", C, 22, message=message(6, 22))
    cache.settled(_sorted({C: 22}), later)
    event(cache, "message_added", C, 23, message=message(7, 23))
    assert ("get_message_chunk", {**NEWEST, "since": 20}) in asked(cache)
    assert contents(cache) == ["message 1", "message 2", "message 4"]


def _sorted(current: dict[str, int]) -> Json:
    return {"current": current, "stale": [], "gone": []}


def test_claims_fit_into_frames_and_what_is_open_goes_first() -> None:
    cache = settled()
    for number in range(3000):
        cache.users.take(user(f"{number:024x}", rev=number))
    claims = cache.claims([C])
    assert list(claims[0].scopes)[:3] == [SELF, C, S]
    assert claims[0].members == ["s1"]
    assert sum(len(claim.scopes) for claim in claims) == len(cache.positions.scopes())
    assert len(claims) == 3
    assert all(len(json.dumps([claim.scopes, claim.members])) <= LARGEST_CLAIM for claim in claims)


def test_what_the_server_cannot_say_is_not_asked_for_ever() -> None:
    cache = settled()
    connect(cache, {SELF: 1})
    for _ in range(10):
        for ask in cache.stale():
            cache.refused(ask, "not_found" if ask.part == "messages" else "method_not_found")
    assert asked(cache) == []
    assert "c1" not in cache.servers["s1"].channels
