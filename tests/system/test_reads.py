"""How far one has read: it starts where sight begins, never moves backwards, and counts mentions from the messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import Client
from tests.reads import Reads
from tests.rig import People, System, assert_dense, join, refused

Document = dict[str, Any]


async def states(client: Client, **params: Any) -> dict[str, Document]:
    """By channel."""
    found = await client.call("get_read_states", **params)
    assert found["full"] is True
    return {state["channel_id"]: state for state in found["read_states"]}


async def say(client: Client, channel_id: str, content: str = "hi") -> int:
    return int((await client.call("add_message", channel_id=channel_id, content=content))["id"])


@pytest.mark.protocol("get_read_states")
async def test_who_joins_starts_at_the_last_message(people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    first, second = await people.connect(ann), await people.connect(bob, 1)
    server_id = (await first.call("add_server", name="Reading room"))["id"]
    listing = await first.call("get_server_channels", server_id=server_id)
    channel_id = listing["categories"][0]["channels"][0]["id"]
    for _ in range(3):
        await say(first, channel_id, f"<@{bob.id}> @everyone")
    await join(first, second, server_id)
    state = {"channel_id": channel_id, "server_id": server_id, "read_id": 3, "last_message_id": 3, "mentions": 0}
    assert await states(second) == {channel_id: state}
    await say(first, channel_id, f"<@{bob.id}>")
    unread = {**state, "last_message_id": 4, "mentions": 1}
    assert await states(second) == await states(second, server_id=server_id) == {channel_id: unread}
    later = (await first.call("add_channel", server_id=server_id, name="later"))["id"]
    await say(first, later)
    assert (await states(second))[later] == {**state, "channel_id": later, "read_id": 0, "last_message_id": 1}
    await second.call("leave_server", server_id=server_id)
    assert await states(second) == {}
    await say(first, channel_id, "@everyone")
    await join(first, second, server_id)
    assert (await states(second))[channel_id] == {**state, "read_id": 5, "last_message_id": 5}
    assert (await states(second))[later]["read_id"] == 1


@pytest.mark.protocol("update_read_state", "read_changed")
async def test_update_read_state(system: System, people: People) -> None:
    room = await people.room()
    device = await people.connect(room.member_is, 0)
    for number in range(4):
        await say(room.owner, room.channel_id, f"{number} <@{room.member_is.id}>")
    before = (await room.member.call("get_read_states"))["rev"]
    state = await room.member.call("update_read_state", channel_id=room.channel_id, message_id=2)
    assert state == {
        "channel_id": room.channel_id,
        "server_id": room.server_id,
        "read_id": 2,
        "last_message_id": 4,
        "mentions": 2,
    }
    for client in (room.member, device):
        event = await client.event("read_changed")
        assert event.params == {
            "scope": f"self:{room.member_is.id}",
            "rev": before + 1,
            "channel_id": room.channel_id,
            "read_id": 2,
            "mentions": 2,
        }
    assert not room.owner.heard("read_changed")
    assert (await states(room.member, server_id=room.server_id))[room.channel_id] == state
    row = system.db.reads.find_one({"user_id": room.member_is.id, "channel_id": room.channel_id}) or {}
    assert row["read_id"] == 2
    await assert_dense(system, f"self:{room.member_is.id}", before + 1)


@pytest.mark.protocol("update_read_state")
async def test_it_never_moves_backwards(people: People) -> None:
    room = await people.room()
    device = await people.connect(room.member_is, 0)
    for _ in range(9):
        await say(room.owner, room.channel_id)
    params = {"channel_id": room.channel_id}
    await asyncio.gather(
        *(
            client.call("update_read_state", message_id=n, **params)
            for n in (7, 3, 5, 1)
            for client in (room.member, device)
        )
    )
    before = (await room.member.call("get_read_states"))["rev"]
    assert (await device.call("update_read_state", message_id=2, **params))["read_id"] == 7
    assert (await device.call("update_read_state", message_id=7, **params))["read_id"] == 7
    assert (await room.member.call("get_read_states"))["rev"] == before
    reads = [event.params["read_id"] for event in room.member.heard("read_changed", **params)]
    assert reads == sorted(set(reads))
    assert (await device.call("update_read_state", message_id=2**53, **params))["read_id"] == 9
    await say(room.owner, room.channel_id)
    assert (await states(device))[room.channel_id]["read_id"] == 9


@pytest.mark.protocol("add_message", "get_read_states")
async def test_my_own_message_is_read(system: System, people: People) -> None:
    room = await people.room()
    for _ in range(3):
        await say(room.owner, room.channel_id, "@everyone")
    assert (await states(room.member))[room.channel_id]["mentions"] == 3
    before = (await room.member.call("get_read_states"))["rev"]
    await asyncio.gather(*(say(room.member, room.channel_id) for _ in range(10)))
    state = (await states(room.member))[room.channel_id]
    assert (state["read_id"], state["last_message_id"], state["mentions"]) == (13, 13, 0)
    assert (await room.member.call("get_read_states"))["rev"] == before
    assert not room.member.heard("read_changed")
    assert system.db.reads.count_documents({"user_id": room.member_is.id, "channel_id": room.channel_id}) == 1


@pytest.mark.protocol("get_read_states", "update_message", "delete_message")
async def test_mentions_are_counted_from_the_messages(people: People) -> None:
    """Edited in and out, deleted, not permitted: whatever happened, the count is what is there."""
    room = await people.room()
    me, params = f"<@{room.member_is.id}>", {"channel_id": room.channel_id}

    async def mentions() -> int:
        return int((await states(room.member))[room.channel_id]["mentions"])

    for content in (me, f"{me} {me} @everyone", "@everyone", f"<@{room.owner_is.id}>", "nobody"):
        await say(room.owner, room.channel_id, content)
    assert await mentions() == 3
    await room.owner.call("update_message", message_id=1, content="nobody", **params)
    assert await mentions() == 2
    await room.owner.call("update_message", message_id=5, content=f"{me}!", **params)
    assert await mentions() == 3
    await room.owner.call("delete_message", message_id=2, **params)
    assert await mentions() == 2
    owner_before = (await states(room.owner))[room.channel_id]["mentions"]
    await say(room.member, room.channel_id, "@everyone")  # has no such permission
    assert (await states(room.owner))[room.channel_id]["mentions"] == owner_before == 0


async def test_what_comes_after_the_last_message_is_not_counted_yet(system: System, people: People) -> None:
    """As if it were committed between the snapshot and the count: its event will tell, and must not be the second."""
    room = await people.room(new=True)
    await say(room.owner, room.channel_id, f"<@{room.member_is.id}>")
    message = system.db.messages.find_one({"channel_id": room.channel_id, "id": 1}) or {}
    del message["_id"]
    system.db.messages.insert_one({**message, "id": 2})
    state = (await states(room.member))[room.channel_id]
    assert (state["last_message_id"], state["mentions"]) == (1, 1)


async def test_direct_channels_too(people: People) -> None:
    room = await people.room(new=True)
    direct = (await room.owner.call("add_direct_channel", user_ids=[room.member_is.id]))["id"]
    assert direct not in await states(room.member)
    for content in ("one", "@everyone", f"<@{room.member_is.id}>"):
        await say(room.owner, direct, content)
    state = {"channel_id": direct, "server_id": None, "read_id": 0, "last_message_id": 3, "mentions": 2}
    assert (await states(room.member))[direct] == state
    assert (await states(room.owner))[direct] == {**state, "read_id": 3, "mentions": 0}
    assert direct not in await states(room.member, server_id=room.server_id)
    read = await room.member.call("update_read_state", channel_id=direct, message_id=2)
    assert (read["read_id"], read["mentions"]) == (2, 1)
    await room.member.call("leave_direct_channel", channel_id=direct)
    assert direct not in await states(room.member)
    await say(room.owner, direct, "come back")
    await room.member.event("message_added", scope=f"channel:{direct}", rev=5)
    back = {**state, "read_id": 3, "last_message_id": 4, "mentions": 0}
    assert (await states(room.member))[direct] == back


@pytest.mark.protocol("get_read_states")
async def test_only_what_i_may_see(system: System, people: People) -> None:
    room = await people.room(new=True)
    hidden = (await room.owner.call("add_channel", server_id=room.server_id, name="hidden"))["id"]
    await say(room.owner, hidden)
    server = system.db.servers.find_one({"_id": room.server_id}) or {}
    overwrite = {"role_id": server["everyone_id"], "allow": [], "deny": ["view_channel"]}
    system.db.channels.update_one({"_id": hidden}, {"$set": {"roles": [overwrite]}})
    system.db.servers.update_one({"_id": room.server_id}, {"$set": {"perm_rev": server["perm_rev"] + 1}})
    assert set(await states(room.member)) == {room.channel_id}
    assert set(await states(room.owner)) == {room.channel_id, hidden}
    stranger = await people.connect(await people.anybody("eve"), 1)
    foreign = await refused(stranger.call("get_read_states", server_id=room.server_id))
    missing = await refused(stranger.call("get_read_states", server_id="0" * 24))
    assert (foreign.code, foreign.message, foreign.data) == (missing.code, missing.message, missing.data)
    for client, channel_id in ((room.member, hidden), (stranger, room.channel_id)):
        refusal = await refused(client.call("update_read_state", channel_id=channel_id, message_id=1))
        assert refusal.reason == "not_found"


async def test_who_gains_sight_later_starts_there(system: System, people: People) -> None:
    """As `start_reading` writes it: what was read before or missed meanwhile is behind one."""
    room = await people.room()
    for _ in range(5):
        await say(room.owner, room.channel_id, "@everyone")
    await room.member.call("update_read_state", channel_id=room.channel_id, message_id=2)
    member = {"server_id": room.server_id, "user_id": room.member_is.id}
    starts = {"$max": {f"channels.{room.channel_id}": 4}}
    system.db.reading_starts.update_one(member, starts, upsert=True)
    state = (await states(room.member))[room.channel_id]
    assert (state["read_id"], state["mentions"]) == (4, 1)
    same = await room.member.call("update_read_state", channel_id=room.channel_id, message_id=3)
    assert (same["read_id"], same["mentions"]) == (4, 1)


@pytest.mark.slow
async def test_many_channels_are_a_few_queries(system: System, people: People) -> None:
    """900 channels, counted by MongoDB itself: no query for each of them."""
    ann, bob = await people.several("ann", "bob")
    client, mine = await people.connect(ann), await people.connect(bob, 1)
    servers = [(await client.call("add_server", name=f"{number}"))["id"] for number in range(3)]
    for server_id in servers:
        await join(client, mine, server_id)
        channels = [
            {"_id": f"{server_id[:20]}{number:04}", "server_id": server_id, "name": "x", "description": None}
            | {"category_id": None, "position": number, "roles": [], "rev": 1}
            for number in range(299)
        ]
        system.db.channels.insert_many(channels)
        named = {"names": [bob.id], "mentions": [bob.id], "mentions_everyone": False, "live": True, "rev": 1}
        system.db.messages.insert_many(
            [{"channel_id": each["_id"], "id": n, **named} for each in channels for n in (1, 2)]
        )
        entry = {"within": server_id, "v": 1, "events": [], "by": {}, "perm_rev": 0, "last_id": 2, "rev": 1}
        system.db.journal.insert_many([{"scope": f"channel:{each['_id']}", **entry} for each in channels])

    with Reads(system.db) as reads:
        found = await states(mine)
    assert 0 < reads.queries["messages"] < 60
    assert len(found) == 900
    assert sum(state["mentions"] for state in found.values()) == 2 * 3 * 299
