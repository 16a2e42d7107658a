"""Two who are friends no longer don't see each other's status any more; their caches say what a fresh read says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from guildwire import Cache

from tests.app import App
from tests.client import Client
from tests.rig import People, Person, System, eventually, join

Document = dict[str, Any]


@dataclass
class Pair:
    """Ann and Bob, who are friends and share nothing else, each on a gateway and with a cache of the other.

    Carl is a friend of Bob's, Eve a stranger who has come across both.
    """

    system: System
    ann: Person
    bob: Person
    mine: App
    theirs: App
    carl: Client
    eve: Client

    async def told(self, app: App, other: Person, status: str) -> None:
        """The cache has this status, and all else that it has of the other is what a fresh read shows."""
        await eventually(lambda: self.cached(app, other).get("status") == status, f"shown {status}")
        fresh = await self._read(app, other)
        assert fresh["status"] == status
        assert self.cached(app, other) == fresh

    async def part(self, by: App | None = None) -> None:
        app = by or self.mine
        await app.client.call("delete_friend", {"user_id": (self.bob if app is self.mine else self.ann).id})

    def rev(self, person: Person) -> int:
        return self.system.db.journal.count_documents({"scope": f"user:{person.id}"})

    def cached(self, app: App, other: Person) -> Document:
        return dict(app.cache.user(other.id) or {})

    async def _read(self, app: App, other: Person) -> Document:
        """As a connection of the same user sees it that knows nothing."""
        me = self.ann if app is self.mine else self.bob
        async with await Client.connect(self.system.url(0)) as client:
            await client.call("authenticate", token=me.token)
            found = await client.call("get_user", user_id=other.id)
        return {name: value for name, value in found.items() if name != "full"}


@pytest_asyncio.fixture
async def pair(system: System, people: People) -> AsyncIterator[Pair]:
    ann, bob, carl, eve = await people.several("ann", "bob", "carl", "eve")
    first, second = await people.connect(ann, 0), await people.connect(bob, 1)
    third, fourth = await people.connect(carl, 0), await people.connect(eve, 1)
    for client, person in ((first, ann), (third, carl)):
        await client.call("add_friend", user_id=bob.id)
        await second.call("add_friend", user_id=person.id)
    await first.call("update_user", changes={"status": "idle", "status_text": "at sea"})
    await second.call("update_user", changes={"status": "dnd"})
    for each in (ann, bob):
        await fourth.call("get_user", user_id=each.id)
    mine, theirs = await asyncio.gather(
        App.connect([system.url(0)], ann.token), App.connect([system.url(1)], bob.token)
    )
    made = Pair(system, ann, bob, mine, theirs, third, fourth)
    await made.told(mine, bob, "dnd")
    await made.told(theirs, ann, "idle")
    yield made
    await asyncio.gather(made.mine.close(), made.theirs.close())


@pytest.mark.protocol("delete_friend", "user_changed")
@pytest.mark.parametrize("by", ["mine", "theirs"])
async def test_both_are_offline_to_each_other_from_then_on(pair: Pair, by: str) -> None:
    before = pair.rev(pair.ann), pair.rev(pair.bob)
    await pair.part(getattr(pair, by))
    await pair.told(pair.mine, pair.bob, "offline")
    await pair.told(pair.theirs, pair.ann, "offline")
    assert (pair.rev(pair.ann), pair.rev(pair.bob)) == (before[0] + 1, before[1] + 1)
    assert not pair.eve.heard("user_changed"), "a stranger is told nothing"
    bob = await pair.carl.call("get_user", user_id=pair.bob.id)
    assert bob["status"] == "dnd", "a friend of one of them still sees that one"
    event = await pair.carl.event("user_changed", user_id=pair.bob.id, rev=bob["rev"])
    assert event.params["changes"] == {"status": "dnd"}
    await pair.mine.client.call("update_user", {"changes": {"status": "dnd"}})
    await pair.mine.client.call("update_user", {"changes": {"display_name": "Ann"}})
    await eventually(lambda: pair.cached(pair.theirs, pair.ann)["display_name"] == "Ann", "told of the name")
    assert pair.cached(pair.theirs, pair.ann)["status"] == "offline"
    assert pair.mine.recording.broken_rules() == pair.theirs.recording.broken_rules() == []


async def test_who_was_away_comes_back_to_it(pair: Pair, tmp_path: Path) -> None:
    path = pair.theirs.save(tmp_path / "cache")
    await pair.theirs.close()
    await pair.part()
    pair.theirs = App([pair.system.url(0)], Cache.load(path))
    await pair.theirs.client.authenticate(pair.bob.token)
    await pair.told(pair.theirs, pair.ann, "offline")
    assert "get_user" not in pair.theirs.recording.traffic.asked, "the missed event says it"
    await pair.told(pair.mine, pair.bob, "offline")


async def test_friends_again_they_see_each_other_again(pair: Pair) -> None:
    await pair.part()
    await pair.mine.client.call("add_friend", {"user_id": pair.bob.id})
    accepted = await pair.theirs.client.call("update_friend", {"user_id": pair.ann.id, "state": "friend"})
    assert accepted["state"] == "friend"
    await pair.told(pair.mine, pair.bob, "dnd")
    await pair.told(pair.theirs, pair.ann, "idle")


async def test_who_shares_something_else_still_sees_it(pair: Pair, people: People) -> None:
    first, second = await people.connect(pair.ann), await people.connect(pair.bob)
    await join(first, second, (await first.call("add_server", name="Harbour"))["id"])
    before = pair.rev(pair.ann), pair.rev(pair.bob)
    await pair.part()
    await eventually(lambda: not pair.theirs.cache.friends.all.get(pair.ann.id), "they are no friends")
    assert (pair.rev(pair.ann), pair.rev(pair.bob)) == before
    await pair.told(pair.mine, pair.bob, "dnd")
    await pair.told(pair.theirs, pair.ann, "idle")


async def test_a_deleted_friend_can_be_parted_from(pair: Pair, people: People) -> None:
    """Before what hangs off the account has gone after it."""
    leases, mine = pair.system.db.leases, {"_id": "cascades:presence"}
    held = {"holder": "test", "until": datetime.now(UTC) + timedelta(hours=1)}
    leases.update_one(mine, {"$set": held}, upsert=True)
    try:
        second = await people.connect(pair.bob)
        await second.call("delete_user", password=pair.bob.password)
        before = pair.rev(pair.bob)
        await pair.part()
    finally:
        leases.update_one(mine, {"$set": {"until": datetime.fromtimestamp(0, UTC)}})
    assert pair.rev(pair.bob) == before
    assert not pair.system.db.friends.count_documents({"user_id": pair.ann.id, "other_id": pair.bob.id})
