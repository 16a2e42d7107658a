"""Whom a status is told is read before it is written: whoever comes or goes in between makes it be read again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from services.presence.friends import Friends
from services.presence.status import Whereabouts
from shared import acquaintance
from shared.bus import Bus
from shared.epoch import Epoch
from shared.errors import LostRace
from shared.friendship import Reader
from shared.ids import new_id
from shared.journal import Journal, Origin
from shared.protocol.friend import DeleteFriend, UpdateFriend
from shared.rights import Rights
from shared.service import Call, Parts
from shared.settings import Settings
from shared.store import Document, Store

ANN, BOB, SERVER = new_id(), new_id(), new_id()
Meanwhile = Callable[[Parts], Awaitable[object]]


@pytest_asyncio.fixture
async def parts(mongod: Mongod) -> AsyncIterator[Parts]:
    """What presence is made of, without NATS: nobody has to hear of it."""
    settings = Settings(name="presence", mongo_url=mongod.url, mongo_db=f"circles_{new_id()}")
    store, bus = Store(settings), Bus(settings, "presence")
    await store.prepare()
    epoch = Epoch(store)
    await epoch.read()
    journal = Journal(store, bus, settings, "presence", epoch)
    running = asyncio.create_task(journal.run())
    yield Parts(settings, store, bus, journal, Rights(store, 10), epoch)
    running.cancel()
    await asyncio.wait({running})
    store.close()


async def people(store: Store, *, friends: tuple[str, str]) -> None:
    """Ann, who is offline, and Bob, in a server together or friends; each with the first entry of their scope."""
    shown: Document = {"image": None, "status": "online", "status_text": None, "rev": 1}
    for user_id, present in ((ANN, []), (BOB, ["a lease"])):
        name = f"name.{user_id}"
        await store["users"].insert_one(
            {"_id": user_id, "name": name, "display_name": name, "present": present, **shown}
        )
        entry: Document = {"scope": f"user:{user_id}", "within": "", "rev": 1, "v": 1, "events": [], "by": {}}
        await store["journal"].insert_one({**entry, "at": datetime.now(UTC), "last_id": 0, "perm_rev": 0})
    of_bob, of_ann = friends
    await store["friends"].insert_many(
        [
            {"user_id": BOB, "other_id": ANN, "state": of_bob, "rev": 1},
            {"user_id": ANN, "other_id": BOB, "state": of_ann, "rev": 1},
        ]
    )


def origin() -> Origin:
    return Origin({}, time.monotonic() + 5)


async def unfriend(parts: Parts) -> None:
    await Friends(parts).delete_friend(Call(BOB, "s", origin()), DeleteFriend(user_id=ANN))


async def block(parts: Parts) -> None:
    await Friends(parts).update_friend(Call(BOB, "s", origin()), UpdateFriend(user_id=ANN, state="blocked"))


async def accept(parts: Parts) -> None:
    await Friends(parts).update_friend(Call(BOB, "s", origin()), UpdateFriend(user_id=ANN, state="friend"))


async def come(parts: Parts, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile) -> Document:
    """Ann comes online, and in the midst of it something happens; returns the facts that she is told by."""
    read = acquaintance.acquaintances
    begun = False

    async def slowly(reader: Reader, user_id: str) -> Document:
        nonlocal begun
        told = await read(reader, user_id)
        if not begun:
            begun = True
            await meanwhile(parts)
        return told

    monkeypatch.setattr(acquaintance, "acquaintances", slowly)
    whereabouts = Whereabouts(parts.store, parts.journal)
    with suppress(LostRace):
        await whereabouts.come(origin(), ANN, "lease")
    await whereabouts.come(origin(), ANN, "lease")
    entry = await parts.store["journal"].find_one({"scope": f"user:{ANN}"}, sort=[("rev", -1)])
    assert entry is not None
    facts: Document = entry["events"][0]["facts"]
    assert facts["shown"] == {"changes": {"status": "online"}}
    return facts


@pytest.mark.parametrize("part", [unfriend, block])
async def test_who_is_no_friend_any_more_is_not_told(
    part: Meanwhile, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(parts.store, friends=("friend", "friend"))
    assert (await come(parts, monkeypatch, part))["users"] == []


async def test_who_has_just_become_a_friend_is_told(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    await people(parts.store, friends=("incoming", "outgoing"))
    assert (await come(parts, monkeypatch, accept))["users"] == [BOB]


async def test_it_waits_for_the_removal_before_it(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is removed: only a gateway that knows it may tell who is in the server of the status."""
    await people(parts.store, friends=("blocked", "blocked_by"))
    await parts.store["servers"].insert_one({"_id": SERVER, "perm_rev": 7})
    await parts.store["members"].insert_one({"server_id": SERVER, "user_id": ANN})

    async def remove_bob(parts: Parts) -> None:
        await parts.store["servers"].update_one({"_id": SERVER}, {"$set": {"perm_rev": 8}})

    assert (await come(parts, monkeypatch, remove_bob))["servers"] == {SERVER: 8}
