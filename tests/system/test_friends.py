"""Friends, requests and blocks: every crossing of two users, from both sides, on two gateways."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from services.presence.pairs import MOST, MOST_BLOCKED_BY, MOST_INCOMING
from tests.cache import Device
from tests.client import Client, RpcError
from tests.rig import People, Person, System, assert_dense, eventually, refused
from tests.view import fresh_view

States = tuple[str | None, str | None]

FITTING: set[States] = {
    (None, None),
    ("friend", "friend"),
    *(("outgoing", "incoming"), ("incoming", "outgoing")),
    *(("blocked", "blocked_by"), ("blocked_by", "blocked"), ("blocked", "blocked")),
}
"""What two users can be to each other."""


@dataclass
class Two:
    """Two users on two gateways, each with a complete cache."""

    system: System
    ann: Person
    bob: Person
    mine: Device
    theirs: Device

    async def act(self, action: str, *, other: bool = False) -> Any:
        """By Ann, or by Bob: add, accept, block or delete."""
        client, user_id = (self.theirs.client, self.ann.id) if other else (self.mine.client, self.bob.id)
        match action:
            case "add":
                return await client.call("add_friend", user_id=user_id)
            case "delete":
                return await client.call("delete_friend", user_id=user_id)
            case _:
                state = {"accept": "friend", "block": "blocked"}[action]
                return await client.call("update_friend", user_id=user_id, state=state)

    def stored(self) -> States:
        """The states of both rows, of which there is one a side."""
        rows = list(self.system.db.friends.find({"user_id": {"$in": [self.ann.id, self.bob.id]}}))
        found = {(row["user_id"], row["other_id"]): row["state"] for row in rows}
        assert len(found) == len(rows)
        return found.get((self.ann.id, self.bob.id)), found.get((self.bob.id, self.ann.id))

    def rev(self, person: Person) -> int:
        return self.system.db.journal.count_documents({"scope": f"self:{person.id}"})

    async def agree(self) -> None:
        """Both caches hold what a fresh read shows, heard in order."""
        for device, person, gateway in ((self.mine, self.ann, 1), (self.theirs, self.bob, 0)):
            await device.equals(await fresh_view(self.system.url(gateway), person.token), {})


@pytest_asyncio.fixture
async def two(system: System, people: People) -> Two:
    return await a_pair(system, people)


async def a_pair(system: System, people: People) -> Two:
    ann, bob = await people.several("ann", "bob")
    mine, theirs = await asyncio.gather(people.device(ann, 0), people.device(bob, 1))
    return Two(system, ann, bob, mine, theirs)


async def friends_of(client: Client, **params: Any) -> dict[str, str]:
    listed = await client.call("get_friends", **params)
    return {friend["user"]["id"]: friend["state"] for friend in listed["friends"]}


# One crossing after the other.

STARTS: dict[str, tuple[States, list[tuple[str, bool]]]] = {
    "nothing": ((None, None), []),
    "outgoing": (("outgoing", "incoming"), [("add", False)]),
    "incoming": (("incoming", "outgoing"), [("add", True)]),
    "friend": (("friend", "friend"), [("add", True), ("add", False)]),
    "blocked": (("blocked", "blocked_by"), [("block", False)]),
    "blocked_by": (("blocked_by", "blocked"), [("block", True)]),
    "both": (("blocked", "blocked"), [("block", True), ("block", False)]),
}
"""What the two are to each other at first, and the steps to it: each an action, and whether it is Bob's."""

BLOCKED: States = ("blocked", "blocked_by")
FRIENDS: States = ("friend", "friend")
NOTHING: States = (None, None)
CROSSINGS: dict[str, dict[str, States | str]] = {
    "nothing": {"add": ("outgoing", "incoming"), "accept": "not_found", "block": BLOCKED, "delete": NOTHING},
    "outgoing": {"add": "conflict", "accept": "conflict", "block": BLOCKED, "delete": NOTHING},
    "incoming": {"add": FRIENDS, "accept": FRIENDS, "block": BLOCKED, "delete": NOTHING},
    "friend": {"add": "conflict", "accept": FRIENDS, "block": BLOCKED, "delete": NOTHING},
    "blocked": {"add": "conflict", "accept": "conflict", "block": BLOCKED, "delete": NOTHING},
    "blocked_by": {
        "add": "forbidden",
        "accept": "forbidden",
        "block": ("blocked", "blocked"),
        "delete": ("blocked_by", "blocked"),
    },
    "both": {
        "add": "conflict",
        "accept": "conflict",
        "block": ("blocked", "blocked"),
        "delete": ("blocked_by", "blocked"),
    },
}
"""What becomes of them by an action of Ann's: the states of both, or why not."""
ROWS = [(start, action, after) for start, actions in CROSSINGS.items() for action, after in actions.items()]


@pytest.mark.protocol(
    "add_friend", "update_friend", "delete_friend", "friend_added", "friend_changed", "friend_deleted"
)
@pytest.mark.parametrize(("start", "action", "after"), ROWS)
async def test_every_crossing(two: Two, start: str, action: str, after: States | str) -> None:
    """Reply, events at both, documents of both; a scope moves by one where its own side changed, else not at all."""
    before, steps = STARTS[start]
    for step, other in steps:
        await two.act(step, other=other)
    assert two.stored() == before
    revs = two.rev(two.ann), two.rev(two.bob)
    if isinstance(after, str):
        assert (await refused(two.act(action))).reason == after
        after = before
    else:
        reply = await two.act(action)
        if action == "delete":
            assert reply == {}
            assert await two.act(action) == {}, "twice is once"
        else:
            assert (reply["user"]["id"], reply["state"]) == (two.bob.id, after[0])
    assert two.stored() == after
    assert after in FITTING
    moved = tuple(int(old != new) for old, new in zip(before, after, strict=True))
    assert (two.rev(two.ann) - revs[0], two.rev(two.bob) - revs[1]) == moved
    await two.agree()


@pytest.mark.protocol("add_friend", "friend_added")
async def test_a_request_shows_both_sides_a_whole_user_whom_they_then_hear_of(two: Two, people: People) -> None:
    second = await people.connect(two.ann, 1)
    profile = await (await people.connect(two.bob)).call("get_user")
    asked = await two.mine.client.call("add_friend", name=two.bob.name)
    assert set(asked) == {"user", "state", "rev"}
    assert asked["state"] == "outgoing"
    assert (asked["user"]["id"], asked["user"]["name"]) == (two.bob.id, two.bob.name)
    assert set(asked["user"]) == set(profile) - {"full"}

    here = await second.event("friend_added")
    there = await two.theirs.client.event("friend_added")
    assert here.params["friend"] == asked
    assert (here.scope, here.rev) == (f"self:{two.ann.id}", asked["rev"])
    assert (there.scope, there.params["friend"]["state"]) == (f"self:{two.bob.id}", "incoming")
    assert there.params["friend"]["user"]["id"] == two.ann.id

    await two.mine.client.call("update_user", changes={"display_name": "Ann of the sea"})
    await two.theirs.client.call("update_user", changes={"display_name": "Bob of the hills"})
    await two.theirs.client.event("user_changed", user_id=two.ann.id)
    await two.mine.client.event("user_changed", user_id=two.bob.id)
    await second.event("user_changed", user_id=two.bob.id)


@pytest.mark.protocol("friend_changed")
async def test_a_block_of_somebody_unknown_comes_whole_and_then_as_a_change(two: Two) -> None:
    await two.act("block")
    added = await two.theirs.client.event("friend_added")
    changed = await two.theirs.client.event("friend_changed")
    assert added.params["more"] is True
    assert "more" not in changed.params
    assert added.rev == changed.rev
    assert added.params["friend"]["state"] == changed.params["state"] == "blocked_by"
    assert changed.params["user_id"] == added.params["friend"]["user"]["id"] == two.ann.id


@pytest.mark.protocol("add_friend")
async def test_a_nonce_asks_once(two: Two) -> None:
    first = await two.mine.client.call("add_friend", user_id=two.bob.id, nonce="n")
    await two.theirs.client.call("delete_friend", user_id=two.ann.id)
    assert await two.mine.client.call("add_friend", user_id=two.bob.id, nonce="n") == first
    assert two.stored() == NOTHING
    assert (await two.mine.client.call("add_friend", user_id=two.bob.id, nonce="m"))["state"] == "outgoing"


async def test_nobody_befriends_or_blocks_oneself_or_nobody(two: Two) -> None:
    client = two.mine.client
    for params in ({"user_id": two.ann.id}, {"name": two.ann.name}):
        assert (await refused(client.call("add_friend", **params))).reason == "conflict"
    assert (await refused(client.call("update_friend", user_id=two.ann.id, state="blocked"))).reason == "conflict"
    assert await client.call("delete_friend", user_id=two.ann.id) == {}
    for params in ({"user_id": "0" * 24}, {"name": "nobody.at.all"}):
        assert (await refused(client.call("add_friend", **params))).reason == "not_found"
    for state in ("blocked", "friend"):
        assert (await refused(client.call("update_friend", user_id="0" * 24, state=state))).reason == "not_found"
    assert await client.call("delete_friend", user_id="0" * 24) == {}
    for params in ({}, {"user_id": two.bob.id, "name": two.bob.name}):
        assert (await refused(client.call("add_friend", **params))).reason == "invalid_params"
    assert two.rev(two.ann) == 0


async def test_a_block_is_noted_in_the_channel_of_the_two(two: Two) -> None:
    directs = two.system.db.directs
    users = sorted((two.ann.id, two.bob.id))
    others = sorted((two.ann.id, "0" * 24))
    made = [
        {"_id": key, "users": key.split(":"), "key": key, "blocked_by": []} for key in map(":".join, (users, others))
    ]
    directs.insert_many(made)

    def noted() -> tuple[list[str], list[str]]:
        mine, foreign = (directs.find_one({"_id": each["_id"]}) or {} for each in made)
        return sorted(mine["blocked_by"]), foreign["blocked_by"]

    await two.act("block")
    assert noted() == ([two.ann.id], [])
    await two.act("block", other=True)
    assert noted() == (users, [])
    await two.act("delete")
    assert noted() == ([two.bob.id], [])
    await two.act("delete", other=True)
    assert noted() == ([], [])


# Lists.


@pytest.mark.protocol("get_friends")
async def test_get_friends_tells_what_changed_since(two: Two, people: People) -> None:
    client = two.mine.client
    eve, joe = await people.several("eve", "joe")
    await client.call("add_friend", user_id=eve.id)
    await client.call("add_friend", user_id=joe.id)
    before = await client.call("get_friends")
    assert (before["full"], before["next_anchor"]) == (True, None)
    assert before["rev"] == two.rev(two.ann) == 2
    assert [friend["user"]["id"] for friend in before["friends"]] == sorted((eve.id, joe.id))
    await client.call("delete_friend", user_id=joe.id)
    await two.act("add", other=True)
    await client.call("update_settings", settings={"not": "a friend"})
    changed = await client.call("get_friends", since=before["rev"])
    assert (changed["full"], changed["rev"], changed["deleted"]) == (False, 5, [joe.id])
    assert [(friend["user"]["id"], friend["state"]) for friend in changed["updated"]] == [(two.bob.id, "incoming")]
    same = await client.call("get_friends", since=changed["rev"])
    assert same == {"rev": 5, "full": False, "updated": [], "deleted": []}
    everything = await client.call("get_friends", since=0)
    assert {friend["user"]["id"] for friend in everything["updated"]} == {eve.id, two.bob.id}
    assert everything["deleted"] == [joe.id]
    assert (await client.call("get_friends", since=99))["full"] is True


def _fill(two: Two, number: int, state: str, side: Callable[[str], dict[str, str]], **profile: Any) -> None:
    """Rows with users who exist, `number` of them."""
    ids = [f"{index + 1:024x}" for index in range(number)]
    template = two.system.db.users.find_one({"_id": two.bob.id}) or {}
    users = [{**template, **profile, "_id": user_id, "name": f"{two.ann.id}.{user_id}"} for user_id in ids]
    two.system.db.users.delete_many({"_id": {"$in": ids}})
    two.system.db.users.insert_many(users)
    two.system.db.friends.insert_many([{**side(user_id), "state": state, "rev": 0} for user_id in ids])


@pytest.mark.protocol("get_friends")
async def test_a_list_too_large_for_a_reply_comes_in_pages(two: Two) -> None:
    wide = {"display_name": "\U0001f30a" * 64, "status_text": "\U0001f30a" * 128}
    _fill(two, MOST, "friend", lambda user_id: {"user_id": two.ann.id, "other_id": user_id}, **wide)
    listed: list[str] = []
    page = await two.mine.client.call("get_friends")
    pages = 1
    while True:
        listed += [friend["user"]["id"] for friend in page["friends"]]
        if page["next_anchor"] is None:
            break
        pages += 1
        page = await two.mine.client.call("get_friends", anchor=page["next_anchor"])
    assert pages > 1
    assert listed == [f"{index + 1:024x}" for index in range(MOST)]


async def test_a_full_list_takes_nobody_more(two: Two) -> None:
    _fill(two, MOST, "outgoing", lambda user_id: {"user_id": two.ann.id, "other_id": user_id})
    assert (await refused(two.act("add"))).reason == "conflict"
    assert (await refused(two.act("block"))).reason == "conflict"
    assert (await refused(two.act("add", other=True))).reason == "conflict"
    assert len(await friends_of(two.mine.client)) == MOST
    # A block needs no room at the other's: it holds although their list does not tell.
    await two.act("block", other=True)
    assert two.stored() == (None, "blocked")
    await two.mine.client.call("delete_friend", user_id=f"{1:024x}")
    assert (await refused(two.act("add"))).reason == "forbidden"
    assert (await refused(two.act("accept"))).reason == "not_found"
    await two.act("delete", other=True)
    assert two.stored() == NOTHING
    await two.act("add")
    assert two.stored() == ("outgoing", "incoming")


@pytest.mark.parametrize(("state", "most"), [("incoming", MOST_INCOMING), ("blocked_by", MOST_BLOCKED_BY)])
async def test_strangers_cannot_fill_a_list(two: Two, state: str, most: int) -> None:
    _fill(two, most, state, lambda user_id: {"user_id": two.ann.id, "other_id": user_id})
    if state == "incoming":
        assert (await refused(two.act("add", other=True))).reason == "conflict"
    else:
        await two.act("block", other=True)
        assert two.stored() == (None, "blocked")
        await two.act("delete", other=True)
    assert (await two.act("add"))["state"] == "outgoing"


# Truly at once: two replicas, two gateways.


@pytest.fixture(scope="module")
def doubled(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("doubled"), mongod, replicas={"presence": 2}) as system:
        yield system


@pytest_asyncio.fixture
async def crowd(doubled: System) -> AsyncIterator[People]:
    people = People(doubled)
    yield people
    await people.close()


async def test_two_who_ask_each_other_at_once_are_friends(doubled: System, crowd: People) -> None:
    for _ in range(12):
        two = await a_pair(doubled, crowd)
        replies = await asyncio.gather(two.act("add"), two.act("add", other=True))
        assert sorted(reply["state"] for reply in replies) == ["friend", "outgoing"]
        assert two.stored() == FRIENDS
        await two.agree()


@pytest.mark.parametrize("start", STARTS)
async def test_whatever_both_do_at_once_fits_together(doubled: System, crowd: People, start: str) -> None:
    """Any two actions, from each side one, several times over: as if one had come after the other."""
    chance = random.Random(start)
    two = await a_pair(doubled, crowd)
    for step, other in STARTS[start][1]:
        await two.act(step, other=other)
    for _ in range(25):
        actions = [
            (chance.choice(("add", "accept", "block", "delete", "delete")), chance.random() < 0.5) for _ in range(3)
        ]
        outcomes = await asyncio.gather(
            *(two.act(action, other=other) for action, other in actions), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, RpcError), outcome
                assert outcome.reason in {"conflict", "forbidden", "not_found"}
        assert two.stored() in FITTING, actions
    await two.agree()
    await assert_dense(doubled, f"self:{two.ann.id}")
    await assert_dense(doubled, f"self:{two.bob.id}")


async def test_both_unblock_at_once(doubled: System, crowd: People) -> None:
    """Each row alone would say that the other still blocks."""
    two = await a_pair(doubled, crowd)
    for _ in range(20):
        await asyncio.gather(two.act("block"), two.act("block", other=True))
        assert two.stored() == ("blocked", "blocked")
        await asyncio.gather(two.act("delete"), two.act("delete", other=True))
        assert two.stored() == NOTHING
    await two.agree()


async def test_a_request_from_two_devices_at_once_is_one(doubled: System, crowd: People) -> None:
    two = await a_pair(doubled, crowd)
    devices = [await crowd.connect(two.ann, number % 2) for number in range(4)]
    outcomes = await asyncio.gather(
        *(device.call("add_friend", user_id=two.bob.id, nonce="same") for device in devices)
    )
    assert all(outcome == outcomes[0] for outcome in outcomes)
    refusals = await asyncio.gather(
        *(device.call("add_friend", user_id=two.bob.id) for device in devices), return_exceptions=True
    )
    assert [error.reason for error in refusals if isinstance(error, RpcError)] == ["conflict"] * 4
    assert two.rev(two.bob) == 1
    await eventually(lambda: len(two.theirs.client.heard("friend_added")) == 1, "one request")
