"""Requests that rest on what another one changes at the same moment: one of them must notice, and begin again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.guilds.invites import MAX_INVITES, Invites
from services.guilds.remains import Remains
from services.guilds.servers import Servers
from services.messages.directs import Directs
from services.presence.friends import Friends
from services.presence.pairs import MOST_BLOCKED_BY
from shared.cascade import Task
from shared.errors import GuildwireError, LostRace
from shared.journal import Origin
from shared.journal.change import Staged
from shared.member_names import named
from shared.protocol.direct import AddDirectChannel
from shared.protocol.friend import UpdateFriend
from shared.protocol.invite import AddInvite
from shared.protocol.server import UpdateServer
from tests.replica import Replica, call, replica
from tests.rig import People, Room, System, eventually


@pytest_asyncio.fixture
async def other(system: System) -> AsyncIterator[Replica]:
    """A replica beside the system's own."""
    async with replica(system) as made:
        yield made


@pytest.mark.parametrize("what", ["add_ban", "delete_member", "update_role", "delete_server"])
async def test_an_invite_rests_on_who_makes_it(system: System, people: People, other: Replica, what: str) -> None:
    room = await people.room()
    everyone = (await room.owner.call("get_server_roles", server_id=room.server_id))["roles"][0]["id"]
    params: dict[str, dict[str, Any]] = {
        "add_ban": {"user_id": room.member_is.id},
        "delete_member": {"user_id": room.member_is.id},
        "update_role": {"role_id": everyone, "changes": {"rules": ["view_channel"]}},
        "delete_server": {},
    }
    other.once(lambda: room.owner.call(what, server_id=room.server_id, **params[what]))
    with pytest.raises(LostRace):
        await Invites(other.parts).add_invite(call(room.member_is.id), AddInvite(server_id=room.server_id))
    theirs = {"server_id": room.server_id, "user_id": room.member_is.id}
    await eventually(lambda: not system.db.invites.count_documents({**theirs, "uses": 0}), "no invite is left")


async def test_invites_are_limited_also_at_once(system: System, people: People, other: Replica) -> None:
    room = await people.room()
    first = await room.owner.call("add_invite", server_id=room.server_id)
    document = system.db.invites.find_one({"_id": first["code"]}) or {}
    there = system.db.invites.count_documents({"server_id": room.server_id})
    system.db.invites.insert_many({**document, "_id": f"{first['code']}{n}"} for n in range(MAX_INVITES - 1 - there))
    params = AddInvite(server_id=room.server_id)
    invites = Invites(other.parts)
    mine = [invites.add_invite(call(room.owner_is.id), params) for _ in range(10)]
    theirs = [room.owner.call("add_invite", server_id=room.server_id) for _ in range(10)]
    await asyncio.gather(*mine, *theirs, return_exceptions=True)
    assert system.db.invites.count_documents({"server_id": room.server_id}) == MAX_INVITES


async def test_no_server_is_handed_to_who_is_being_deleted(system: System, people: People, other: Replica) -> None:
    room = await people.room(new=True)
    other.once(lambda: room.member.call("delete_user", password=room.member_is.password))
    handing = UpdateServer.model_validate({"server_id": room.server_id, "changes": {"owner_id": room.member_is.id}})
    with pytest.raises(LostRace):
        await Servers(other.parts).update_server(call(room.owner_is.id), handing)
    owner_id = (system.db.servers.find_one({"_id": room.server_id}) or {})["owner_id"]
    assert owner_id == room.owner_is.id


async def test_no_server_is_handed_to_who_is_deleted(system: System, people: People, other: Replica) -> None:
    """Still a member, for a moment."""
    room = await people.room(new=True)
    system.db.users.update_one({"_id": room.member_is.id}, {"$set": {"deleted": True}})
    handing = UpdateServer.model_validate({"server_id": room.server_id, "changes": {"owner_id": room.member_is.id}})
    with pytest.raises(GuildwireError, match="No such user"):
        await Servers(other.parts).update_server(call(room.owner_is.id), handing)


def crowded(system: System, user_id: str) -> None:
    """So many block this user that one more is in their list no longer."""
    rows = [{"user_id": user_id, "other_id": f"{n}", "state": "blocked_by", "rev": 0} for n in range(MOST_BLOCKED_BY)]
    system.db.friends.insert_many(rows)


def blocking(system: System, room: Room) -> list[str]:
    pair = {"$in": [room.owner_is.id, room.member_is.id]}
    return sorted(
        row["user_id"] for row in system.db.friends.find({"user_id": pair, "other_id": pair, "state": "blocked"})
    )


@pytest.mark.parametrize("ended", [False, True], ids=["blocks", "unblocks"])
async def test_a_channel_of_two_knows_who_blocks(system: System, people: People, other: Replica, ended: bool) -> None:
    """Also where the block, or its end, is nothing in the scope of who makes the channel."""
    room = await people.room(new=True)
    ann, bob = room.owner_is.id, room.member_is.id
    crowded(system, ann)
    if ended:
        for one, user_id in ((room.member, ann), (room.owner, bob)):
            await one.call("update_friend", user_id=user_id, state="blocked")
        other.once(lambda: room.member.call("delete_friend", user_id=ann))
    else:
        other.once(lambda: room.member.call("update_friend", user_id=ann, state="blocked"))
    params = AddDirectChannel(user_ids=[bob])
    with pytest.raises(LostRace):
        await Directs(other.parts).add_direct_channel(call(ann), params)
    made = await Directs(other.parts).add_direct_channel(call(ann), params)
    direct = system.db.directs.find_one({"_id": made.id}) or {}
    assert direct["blocked_by"] == blocking(system, room) == ([ann] if ended else [bob])


async def test_nobody_blocks_who_is_being_deleted(system: System, people: People, other: Replica) -> None:
    room = await people.room(new=True)
    ann, bob = room.owner_is.id, room.member_is.id
    crowded(system, bob)

    async def deleted() -> None:
        system.db.friends.delete_many({"user_id": bob})  # whose rows would take long to clear, one by one
        await room.member.call("delete_user", password=room.member_is.password)
        await eventually(lambda: not system.db.cascades.count_documents({"about.user_id": bob}), "all is cleared")

    other.once(deleted)
    with pytest.raises(LostRace):
        await Friends(other.parts).update_friend(call(ann), UpdateFriend(user_id=bob, state="blocked"))
    assert blocking(system, room) == []


async def test_the_end_of_a_server_reaches_busy_members(system: System, people: People, other: Replica) -> None:
    """Somebody is always quicker with one of many scopes; alone, each is written in the end."""
    room = await people.room()
    members = [f"{room.server_id}-{number:03}" for number in range(60)]
    fields = {"server_id": room.server_id, **named(None, "ghost", "Ghost"), "roles": [], "joined_date": None, "rev": 1}
    system.db.members.insert_many({**fields, "user_id": user_id} for user_id in members)

    async def quicker(staged: Staged) -> None:
        selves = [entry for entry in staged.entries if entry.scope.kind == "self"]
        if len(selves) > 1:
            rival = {**selves[0].document(), "events": []}
            system.db.journal.insert_one(rival)

    other.always(quicker)
    task = Task({"server_id": room.server_id}, Origin({"cascade": "x"}, call("").origin.deadline))
    for _ in range(5):
        await Remains(other.parts).server(task)
    assert not system.db.members.count_documents({"user_id": {"$in": members}})
    told = system.db.journal.count_documents(
        {"scope": {"$in": [f"self:{each}" for each in members]}, "events.name": "server_deleted"}
    )
    assert told == len(members)
