"""Somebody is typing: told to who sees the channel, stored nowhere, not told too often."""

from __future__ import annotations

import pytest

from tests.rig import People, System, refused


@pytest.mark.protocol("start_typing", "typing_started")
async def test_start_typing(system: System, people: People) -> None:
    room = await people.room()
    stranger = await people.connect(await people.anybody("eve"), 1)
    before = system.db.journal.count_documents({})
    assert await room.owner.call("start_typing", channel_id=room.channel_id) == {}
    event = await room.member.event("typing_started")
    assert event.params == {"channel_id": room.channel_id, "user_id": room.owner_is.id}
    assert system.db.journal.count_documents({}) == before
    assert (await refused(stranger.call("start_typing", channel_id=room.channel_id))).reason == "not_found"
    assert not stranger.heard("typing_started")


async def test_who_types_on_is_told_of_now_and_then(people: People) -> None:
    room = await people.room()
    second = (await room.owner.call("add_channel", server_id=room.server_id, name="second"))["id"]
    for _ in range(10):
        await room.owner.call("start_typing", channel_id=room.channel_id)
        await room.member.call("start_typing", channel_id=room.channel_id)
    await room.owner.call("start_typing", channel_id=second)
    await room.member.event("typing_started", channel_id=second)
    heard = [event.params["user_id"] for event in room.member.heard("typing_started", channel_id=room.channel_id)]
    assert sorted(heard) == sorted([room.owner_is.id, room.member_is.id])


async def test_who_has_left_is_not_told(people: People) -> None:
    room = await people.room()
    await room.member.call("leave_server", server_id=room.server_id)
    await room.owner.call("start_typing", channel_id=room.channel_id)
    await room.owner.event("typing_started")
    await room.member.event("server_deleted", server_id=room.server_id)
    assert not room.member.heard("typing_started")
    assert (await refused(room.member.call("start_typing", channel_id=room.channel_id))).reason == "not_found"


async def test_it_needs_the_permission_to_write(system: System, people: People) -> None:
    room = await people.room(new=True)
    server = system.db.servers.find_one({"_id": room.server_id}) or {}
    system.db.roles.update_one({"_id": server["everyone_id"]}, {"$set": {"rules": ["view_channel"]}})
    system.db.servers.update_one({"_id": room.server_id}, {"$set": {"perm_rev": server["perm_rev"] + 1}})
    refusal = await refused(room.member.call("start_typing", channel_id=room.channel_id))
    assert (refusal.reason, refusal.data["needs"]) == ("forbidden", "send_messages")
