"""Servers, invites, membership and channels: reply, event at the others on the other gateway, stored documents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import Client, RpcError
from tests.rig import People, System, assert_dense, general, join, refused

EVERYONE = {"view_channel", "send_messages", "add_reactions", "invite_members"}
SERVER = {
    "id", "name", "image", "description", "num_members", "created_date", "owner_id", "me", "rev",
}  # fmt: skip
CHANNEL = {
    "id", "server_id", "name", "description", "category_id", "position",
    "roles", "roles_with_access", "last_message_id", "rev",
}  # fmt: skip


def added(client: Client, server_id: str) -> list[dict[str, Any]]:
    return [event.params for event in client.heard("server_added") if event.params["server"]["id"] == server_id]


async def nothing_more(client: Client) -> None:
    """What this user would hear has come, by an own event behind it."""
    made = await client.call("add_server", name="marker")
    await client.until(lambda: bool(added(client, made["id"])), "the marker")


@pytest.mark.protocol("add_server", "server_added")
async def test_add_server(system: System, people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    client, device, stranger = await asyncio.gather(
        people.connect(ann, 0), people.connect(ann, 1), people.connect(bob, 1)
    )
    made = await client.call("add_server", name="Tea house", description="Hot drinks")
    assert set(made) - {"full"} == SERVER
    assert (made["name"], made["description"], made["image"]) == ("Tea house", "Hot drinks", None)
    assert (made["owner_id"], made["num_members"]) == (ann.id, 1)

    event = await device.event("server_added")
    assert event.scope == f"self:{ann.id}"
    assert event.params["server"]["id"] == made["id"]
    everyone = event.params["roles"]
    assert [(role["name"], role["position"]) for role in everyone] == [("everyone", 0)]
    assert set(everyone[0]["rules"]) == EVERYONE
    channel_id = await general(client, made["id"])
    assert set(event.params["scopes"]) == {f"server:{made['id']}", f"channel:{channel_id}"}
    assert (await client.event("server_added")).params == event.params
    assert not stranger.heard("server_added")

    assert system.db.channels.count_documents({"server_id": made["id"]}) == 1
    assert system.db.roles.count_documents({"server_id": made["id"]}) == 1
    assert system.db.members.count_documents({"server_id": made["id"], "user_id": ann.id}) == 1
    await assert_dense(system, f"self:{ann.id}", event.rev)
    await assert_dense(system, f"server:{made['id']}", event.params["scopes"][f"server:{made['id']}"])


@pytest.mark.protocol("get_server")
async def test_get_server(people: People) -> None:
    room = await people.room()
    as_member = await room.member.call("get_server", server_id=room.server_id)
    as_owner = await room.owner.call("get_server", server_id=room.server_id, since=0)
    assert set(as_member) == set(as_owner) == SERVER | {"full"}
    assert as_member["full"] is True
    assert as_member["num_members"] == 2
    assert set(as_member["me"]) == {"roles", "nick", "rev"}
    assert {name: value for name, value in as_member.items() if name != "me"} == {
        name: value for name, value in as_owner.items() if name != "me"
    }


@pytest.mark.protocol("get_server")
async def test_get_server_by_invite(system: System, people: People) -> None:
    room = await people.room()
    invite = await room.member.call("add_invite", server_id=room.server_id)
    nobody = await people.open(1)
    seen = await nobody.call("get_server", invite=invite["code"])
    assert set(seen) - {"full"} == SERVER - {"me"}
    assert (seen["id"], seen["num_members"]) == (room.server_id, 2)
    stranger = await people.connect(await people.anybody("eve"))
    assert "me" not in await stranger.call("get_server", invite=invite["code"])
    assert system.db.invites.find_one({"server_id": room.server_id, "uses": {"$gt": 0}}) is not None  # the room's own
    looked_at = await room.member.call("get_server", invite=invite["code"])
    assert looked_at["id"] == room.server_id


async def test_a_look_by_invite_lets_nobody_hear_the_server(people: People) -> None:
    room = await people.room()
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    stranger = await people.connect(await people.anybody("eve"), 1)
    await stranger.call("get_server", invite=invite["code"])
    await room.owner.call("add_channel", server_id=room.server_id, name="private")
    await room.owner.call("add_message", channel_id=room.channel_id, content="private")
    await room.member.event("message_added", scope=f"channel:{room.channel_id}")
    await nothing_more(stranger)
    assert {event.method for event in stranger.events} == {"server_added"}


@pytest.mark.protocol("get_servers")
async def test_get_servers(people: People) -> None:
    room = await people.room(new=True)
    alone = await room.owner.call("add_server", name="Alone")
    mine = await room.owner.call("get_servers")
    assert set(mine) == {"rev", "full", "servers"}
    assert mine["full"] is True
    assert {server["id"] for server in mine["servers"]} == {room.server_id, alone["id"]}
    assert all(set(server) == {"id", "name", "image", "rev"} for server in mine["servers"])

    shared = await room.owner.call("get_servers", user_id=room.member_is.id)
    assert [server["id"] for server in shared["servers"]] == [room.server_id]
    itself = await room.owner.call("get_servers", user_id=room.owner_is.id)
    assert {server["id"] for server in itself["servers"]} == {room.server_id, alone["id"]}


async def test_get_servers_of_a_stranger_shows_nothing(people: People) -> None:
    room = await people.room()
    stranger = await people.connect(await people.anybody("eve"))
    assert (await stranger.call("get_servers", user_id=room.owner_is.id))["servers"] == []


@pytest.mark.protocol("join_server", "server_added")
async def test_join_server(system: System, people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    owner, here, there = await asyncio.gather(people.connect(ann, 0), people.connect(bob, 0), people.connect(bob, 1))
    made = await owner.call("add_server", name="Tea house")
    extra = await owner.call("add_channel", server_id=made["id"], name="second")
    for number in range(3):
        await owner.call("add_message", channel_id=extra["id"], content=f"before {number}")

    joined = await join(owner, here, made["id"])
    fresh = await there.call("get_server", server_id=made["id"])
    assert {**joined, "full": True} == {**fresh, "rev": joined["rev"]}
    event = await there.event("server_added")
    assert event.scope == f"self:{bob.id}"
    shown = event.params["server"]
    assert {**shown, "full": True} == {**fresh, "rev": shown["rev"]}
    channels = (await there.call("get_server_channels", server_id=made["id"]))["categories"]
    assert event.params["channels"] in (channels, {"categories": channels, "rev": shown["rev"], "full": True})
    listed = {channel["id"] for category in channels for channel in category["channels"]}
    assert set(event.params["scopes"]) == {f"server:{made['id']}"} | {f"channel:{known}" for known in listed}
    assert event.params["scopes"][f"channel:{extra['id']}"] == 3

    await owner.call("add_message", channel_id=extra["id"], content="after")
    for client in (here, there):
        heard = await client.event("message_added", scope=f"channel:{extra['id']}")
        assert (heard.rev, heard.params["message"]["content"]) == (4, "after")
    assert not owner.heard("server_added", scope=f"self:{bob.id}")
    assert system.db.members.count_documents({"server_id": made["id"]}) == 2
    await assert_dense(system, f"self:{bob.id}", event.rev)
    await assert_dense(system, f"server:{made['id']}", fresh["rev"])


async def test_join_tells_the_member_itself_and_nobody_who_has_not_asked(people: People) -> None:
    room = await people.room()
    own = room.member.heard("member_added")
    assert all(event.params["member"]["user"]["id"] == room.member_is.id for event in own)
    assert not [
        event for event in room.owner.heard("member_added") if event.params["member"]["user"]["id"] != room.owner_is.id
    ]


async def test_joining_twice_is_joining_once(system: System, people: People) -> None:
    room = await people.room()
    invite = await room.owner.call("add_invite", server_id=room.server_id, max_uses=2)
    before = await room.member.call("get_server", server_id=room.server_id)
    again = await room.member.call("join_server", invite=invite["code"])
    assert again["id"] == room.server_id
    after = await room.member.call("get_server", server_id=room.server_id)
    assert after == before
    assert len(added(room.member, room.server_id)) == 1
    stored = system.db.invites.find_one({"uses": 0, "server_id": room.server_id})
    assert stored is not None  # a join that changed nothing used nothing up


async def test_joining_twice_at_once_is_joining_once(system: System, people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    owner, here, there = await asyncio.gather(people.connect(ann), people.connect(bob, 0), people.connect(bob, 1))
    made = await owner.call("add_server", name="x")
    code = (await owner.call("add_invite", server_id=made["id"]))["code"]
    calls = [client.call("join_server", invite=code) for client in (here, there) * 3]
    assert {joined["id"] for joined in await asyncio.gather(*calls)} == {made["id"]}
    await nothing_more(here)
    assert len(added(here, made["id"])) == 1
    assert (await owner.call("get_server", server_id=made["id"]))["num_members"] == 2
    assert system.db.members.count_documents({"server_id": made["id"]}) == 2


@pytest.mark.protocol("leave_server", "server_deleted")
async def test_leave_server(system: System, people: People) -> None:
    room = await people.room()
    device = await people.connect(room.member_is, 0)
    assert await room.member.call("leave_server", server_id=room.server_id) == {}
    for client in (device, room.member):
        event = await client.event("server_deleted", server_id=room.server_id)
        assert event.scope == f"self:{room.member_is.id}"
        assert event.params["why"] == "left"
    await room.owner.call("add_message", channel_id=room.channel_id, content="behind your back")
    await room.owner.event("message_added")
    await nothing_more(device)
    assert not device.heard("message_added")
    for method, params in (
        ("get_server", {"server_id": room.server_id}),
        ("get_server_channels", {"server_id": room.server_id}),
        ("get_message_chunk", {"channel_id": room.channel_id, "amount": 1, "anchor": 0, "direction": False}),
        ("add_message", {"channel_id": room.channel_id, "content": "x"}),
    ):
        assert (await refused(device.call(method, **params))).reason == "not_found"
    assert (await room.owner.call("get_server", server_id=room.server_id))["num_members"] == 1
    assert system.db.members.count_documents({"server_id": room.server_id}) == 1
    assert await room.member.call("leave_server", server_id=room.server_id) == {}
    await assert_dense(system, f"self:{room.member_is.id}")
    await assert_dense(system, f"server:{room.server_id}")


async def test_who_comes_back_hears_again(people: People) -> None:
    room = await people.room()
    await room.member.call("leave_server", server_id=room.server_id)
    await room.member.event("server_deleted", server_id=room.server_id)
    await room.owner.call("add_message", channel_id=room.channel_id, content="missed")
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    await room.member.call("join_server", invite=invite["code"])
    await room.member.until(lambda: len(added(room.member, room.server_id)) == 2, "server_added")
    assert added(room.member, room.server_id)[1]["scopes"][f"channel:{room.channel_id}"] == 1
    await room.owner.call("add_message", channel_id=room.channel_id, content="heard")
    event = await room.member.event("message_added")
    assert (event.rev, event.params["message"]["content"]) == (2, "heard")


async def test_the_owner_cannot_leave(people: People) -> None:
    room = await people.room()
    refusal = await refused(room.owner.call("leave_server", server_id=room.server_id))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    assert (await room.owner.call("get_server", server_id=room.server_id))["num_members"] == 2


@pytest.mark.protocol("add_invite")
async def test_add_invite(system: System, people: People) -> None:
    room = await people.room()
    invite = await room.member.call("add_invite", server_id=room.server_id, max_uses=7, expires_in=3600)
    assert set(invite) == {"code", "server_id", "user_id", "uses", "max_uses", "expires_date"}
    assert (invite["server_id"], invite["user_id"]) == (room.server_id, room.member_is.id)
    assert (invite["uses"], invite["max_uses"]) == (0, 7)
    assert invite["expires_date"].endswith("Z")
    endless = await room.member.call("add_invite", server_id=room.server_id)
    assert endless["max_uses"] is endless["expires_date"] is None
    assert endless["code"] != invite["code"]
    assert system.db.invites.count_documents({"server_id": room.server_id}) == 3


async def test_an_invite_is_used_up(system: System, people: People) -> None:
    """Two come at once for the last place; who comes late is told the same as for a code that never was."""
    room = await people.room()
    invite = await room.owner.call("add_invite", server_id=room.server_id, max_uses=1)
    people_at_the_door = await people.several("carl", "dora")
    doors = [await people.connect(person, number) for number, person in enumerate(people_at_the_door)]
    outcomes = await asyncio.gather(
        *(door.call("join_server", invite=invite["code"]) for door in doors), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, RpcError)]
    assert [refusal.reason for refusal in refusals] == ["not_found"]
    never = await refused(doors[0].call("join_server", invite="never1was2"))
    assert (refusals[0].message, refusals[0].data) == (never.message, never.data)
    assert (await refused((await people.open()).call("get_server", invite=invite["code"]))).reason == "not_found"
    assert system.db.members.count_documents({"server_id": room.server_id}) == 3


async def test_an_invite_expires(people: People) -> None:
    room = await people.room()
    invite = await room.owner.call("add_invite", server_id=room.server_id, expires_in=1)
    nobody = await people.open()
    assert (await nobody.call("get_server", invite=invite["code"]))["id"] == room.server_id
    async with asyncio.timeout(5):
        while True:
            try:
                await nobody.call("get_server", invite=invite["code"])
            except RpcError as error:
                assert error.reason == "not_found"  # noqa: PT017 - how long until then is what the loop is about
                break
            await asyncio.sleep(0.1)
    stranger = await people.connect(await people.anybody("eve"))
    assert (await refused(stranger.call("join_server", invite=invite["code"]))).reason == "not_found"


async def test_a_server_has_at_most_a_hundred_invites(people: People) -> None:
    client = await people.connect(await people.anybody())
    made = await client.call("add_server", name="x")
    calls = [("add_invite", {"server_id": made["id"]})] * 50
    outcomes = await client.batch(*calls) + await client.batch(*calls)
    assert not [outcome for outcome in outcomes if isinstance(outcome, RpcError)]
    refusal = await refused(client.call("add_invite", server_id=made["id"]))
    assert (refusal.code, refusal.reason) == (4090, "conflict")


@pytest.mark.protocol("add_channel", "channel_added")
async def test_add_channel(system: System, people: People) -> None:
    room = await people.room()
    made = await room.owner.call("add_channel", server_id=room.server_id, name="Second", description="Why not")
    assert set(made) == CHANNEL
    assert (made["name"], made["description"], made["category_id"]) == ("Second", "Why not", None)
    assert (made["server_id"], made["roles"], made["last_message_id"]) == (room.server_id, [], 0)
    event = await room.member.event("channel_added")
    assert (event.scope, event.rev) == (f"server:{room.server_id}", made["rev"])
    assert event.params["channel"] == made
    assert (await room.owner.event("channel_added")).params == event.params

    listed = await room.member.call("get_server_channels", server_id=room.server_id)
    assert listed["rev"] == made["rev"]
    assert listed["categories"][0]["channels"][-1] == {"id": made["id"], "name": "Second"}
    await room.owner.call("add_message", channel_id=made["id"], content="first")
    heard = await room.member.event("message_added", scope=f"channel:{made['id']}")
    assert heard.rev == event.params["at"] + 1
    assert system.db.channels.count_documents({"server_id": room.server_id}) == 2
    await assert_dense(system, f"server:{room.server_id}", made["rev"])
    await assert_dense(system, f"channel:{made['id']}")


async def test_only_who_may_manage_channels_adds_one(people: People) -> None:
    room = await people.room()
    refusal = await refused(room.member.call("add_channel", server_id=room.server_id, name="mine"))
    assert (refusal.code, refusal.reason, refusal.data.get("needs")) == (4030, "forbidden", "manage_channels")


async def test_a_channel_goes_into_no_category_that_is_not(people: People) -> None:
    room = await people.room()
    call = room.owner.call("add_channel", server_id=room.server_id, name="lost", category_id="0" * 24)
    assert (await refused(call)).reason == "not_found"


@pytest.mark.protocol("get_server_channels")
async def test_get_server_channels(people: People) -> None:
    room = await people.room()
    for name, position in (("last", 30), ("between", 20), ("after that", 25)):
        await room.owner.call("add_channel", server_id=room.server_id, name=name, position=position)
    first = await room.owner.call("add_channel", server_id=room.server_id, name="first", position=-1)
    listed = await room.member.call("get_server_channels", server_id=room.server_id, since=0)
    assert set(listed) == {"rev", "full", "categories"}
    assert listed["full"] is True
    assert listed["rev"] == first["rev"]
    (only,) = listed["categories"]
    assert only["id"] is None
    assert [channel["name"] for channel in only["channels"]] == ["first", "general", "between", "after that", "last"]
    assert all(set(channel) == {"id", "name"} for channel in only["channels"])


async def test_what_another_member_sees_needs_manage_roles(people: People) -> None:
    room = await people.room()
    own = await room.owner.call("get_server_channels", server_id=room.server_id)
    theirs = await room.owner.call("get_server_channels", server_id=room.server_id, user_id=room.member_is.id)
    assert theirs["categories"] == own["categories"]
    call = room.member.call("get_server_channels", server_id=room.server_id, user_id=room.owner_is.id)
    refusal = await refused(call)
    assert (refusal.code, refusal.data.get("needs")) == (4030, "manage_roles")
    nobody = room.owner.call("get_server_channels", server_id=room.server_id, user_id="0" * 24)
    assert (await refused(nobody)).reason == "not_found"


@pytest.mark.parametrize("method", ["add_server", "add_channel", "add_invite"])
async def test_a_nonce_makes_one(system: System, people: People, method: str) -> None:
    """From any device, one after the other or at once: the first outcome."""
    room = await people.room(new=True)
    device = await people.connect(room.owner_is, 1)
    common: dict[str, Any] = {"nonce": "once"} | ({} if method == "add_server" else {"server_id": room.server_id})
    named = {} if method == "add_invite" else {"name": "first"}
    outcomes = await asyncio.gather(*(client.call(method, **common, **named) for client in (room.owner, device) * 3))
    late = await device.call(method, **common, **({} if method == "add_invite" else {"name": "second"}))
    key = "code" if method == "add_invite" else "id"
    assert {outcome[key] for outcome in outcomes} == {late[key]}
    assert late == outcomes[0]
    other = await room.owner.call(method, **{**common, "nonce": "twice"}, **named)
    assert other[key] != late[key]
    stored = {"add_server": "servers", "add_channel": "channels", "add_invite": "invites"}[method]
    counted = {"owner_id": room.owner_is.id} if method == "add_server" else {"server_id": room.server_id}
    assert system.db[stored].count_documents(counted) == 3  # the room's own, and these two
    assert system.db.nonces.count_documents({}) >= 2


async def test_a_nonce_is_its_users_own(people: People) -> None:
    room = await people.room(new=True)
    hers = await room.owner.call("add_invite", server_id=room.server_id, nonce="same")
    his = await room.member.call("add_invite", server_id=room.server_id, nonce="same")
    assert hers["code"] != his["code"]
    made = await room.owner.call("add_server", name="x", nonce="same")  # another method's
    assert made["name"] == "x"
