"""What becomes of an account that is deleted, at once and behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest

from deploy.embedded import Mongod
from tests.client import Client, Closed, RpcError
from tests.rig import People, Person, Room, System, assert_dense, eventually, join, refused
from tests.view import fresh_view

GONE = {"display_name": "Deleted user", "image": None, "status": "offline", "status_text": None}


async def done(system: System) -> None:
    await eventually(lambda: system.db.cascades.count_documents({}) == 0, "the cascades are through", 15)


async def with_members_loaded(room: Room, client: Client) -> None:
    await client.call("get_server_members", server_id=room.server_id, amount=100)


@pytest.mark.protocol("delete_user")
async def test_an_account_is_gone_at_once_and_leaves_everything(system: System, people: People) -> None:
    room = await people.room(new=True)
    ann, bob = room.owner_is, room.member_is
    await room.member.call("update_settings", settings={"private": "word"})
    await room.member.call("add_friend", user_id=ann.id)
    await room.owner.call("add_friend", user_id=bob.id)
    await with_members_loaded(room, room.owner)
    other = await people.open(0)
    again = await other.call("login", name=bob.name, password=bob.password)
    await other.call("authenticate", token=again["token"])
    device = await people.device(ann, 1)

    wrong = await refused(room.member.call("delete_user", password="not my password"))
    assert (wrong.code, wrong.reason) == (4030, "forbidden")
    assert (await room.member.call("ping"))["time"]
    assert await room.member.call("delete_user", password=bob.password) == {}
    assert await room.member.closed() == 4002
    assert await other.closed() == 4002

    # At once: for whoever asks.
    shown = await room.owner.call("get_user", user_id=bob.id)
    assert shown == {"id": bob.id, "name": f"deleted-{bob.id}", **GONE, "rev": shown["rev"], "full": True}
    late = await people.open()
    assert (await refused(late.call("authenticate", token=bob.token))).code == 4010
    assert (await refused((await people.open()).call("login", name=bob.name, password=bob.password))).code == 4010
    assert (await refused(room.owner.call("add_friend", name=bob.name))).reason == "not_found"
    again = await (await people.open()).call("register", name=bob.name, password="12345678")
    assert again["user"]["id"] != bob.id

    # Then: for whoever listens.
    told = await room.owner.event("user_changed", user_id=bob.id)
    assert told.params["changes"] == {
        "name": f"deleted-{bob.id}",
        "display_name": "Deleted user",
        "status": "offline",
    }
    assert told.rev == shown["rev"]
    await room.owner.event("friend_deleted", user_id=bob.id)
    await room.owner.event("member_deleted", user_id=bob.id)
    await done(system)
    for collection in ("friends", "members", "sessions", "settings"):
        ids = {"$or": [{"user_id": bob.id}, {"other_id": bob.id}, {"_id": bob.id}]}
        assert system.db[collection].count_documents(ids) == 0, collection
    server = system.db.servers.find_one({"_id": room.server_id}) or {}
    assert server["num_members"] == 1
    assert server["perm_rev"] == system.db.journal.count_documents({"scope": f"server:{room.server_id}"})
    await assert_dense(system, f"self:{ann.id}")
    await device.equals(await fresh_view(system.url(0), ann.token), {})


async def test_what_was_said_stays_by_nobody_one_could_know(people: People) -> None:
    room = await people.room(new=True)
    said = await room.member.call("add_message", channel_id=room.channel_id, content="stays")
    await room.member.call("delete_user", password=room.member_is.password)
    page = await room.owner.call("get_message_chunk", channel_id=room.channel_id, amount=10, anchor=0, direction=False)
    assert page["messages"] == [said]
    names = [user["name"] for user in page["users"] if user["id"] == room.member_is.id]
    assert names == [f"deleted-{room.member_is.id}"]


@pytest.mark.protocol("delete_user")
async def test_who_owns_a_server_stays(system: System, people: People) -> None:
    room = await people.room(new=True)
    refusal = await refused(room.owner.call("delete_user", password=room.owner_is.password))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    assert (await room.owner.call("get_user"))["name"] == room.owner_is.name
    assert system.db.cascades.count_documents({"about.user_id": room.owner_is.id}) == 0


async def test_the_name_of_a_deleted_account_is_none_that_can_be_had(people: People) -> None:
    refusal = await refused((await people.open()).call("register", name=f"deleted-{'0' * 24}", password="12345678"))
    assert (refusal.reason, refusal.fields) == ("invalid_params", {"name"})


async def test_requests_and_blocks_end_on_both_sides(system: System, people: People) -> None:
    ann, bob, eve, joe = await people.several("ann", "bob", "eve", "joe")
    client = await people.connect(ann)
    others = [await people.device(person, 1) for person in (bob, eve, joe)]
    await client.call("add_friend", user_id=bob.id)
    await others[1].client.call("add_friend", user_id=ann.id)
    await others[2].client.call("update_friend", user_id=ann.id, state="blocked")
    await client.call("delete_user", password=ann.password)
    for device, person in zip(others, (bob, eve, joe), strict=True):
        await device.client.event("friend_deleted", user_id=ann.id)
        await device.equals(await fresh_view(system.url(0), person.token), {})
        assert device.cache.own.friends == {}
        assert (
            await refused(device.client.call("update_friend", user_id=ann.id, state="blocked"))
        ).reason == "not_found"
    await done(system)
    assert system.db.friends.count_documents({"$or": [{"user_id": ann.id}, {"other_id": ann.id}]}) == 0


AT_ONCE = ("add_friend", "block", "join", "add_server", "settings", "password", "twice")


async def begin_something(room: Room, client: Client, bob: Person, what: str) -> None:
    """Something with Bob's account, by himself or by another."""
    match what:
        case "add_friend":
            await room.owner.call("add_friend", user_id=bob.id)
        case "block":
            await room.owner.call("update_friend", user_id=bob.id, state="blocked")
        case "join":
            invite = (await room.owner.call("add_invite", server_id=room.server_id))["code"]
            await client.call("join_server", invite=invite)
        case "add_server":
            await client.call("add_server", name="Of nobody")
        case "settings":
            await client.call("update_settings", settings={"x": 1})
        case "password":
            changes = {"password": "another password", "old_password": bob.password}
            await client.call("update_user", changes=changes)
        case _:
            await client.call("delete_user", password=bob.password)


def what_is_left(system: System, user_id: str) -> dict[str, int]:
    of_theirs = {"friends": "other_id", "members": "user_id", "servers": "owner_id", "settings": "_id"}
    counts = {name: system.db[name].count_documents({field: user_id}) for name, field in of_theirs.items()}
    return {name: count for name, count in counts.items() if count}


@pytest.fixture(scope="module")
def doubled(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two replicas of each: inside one, changes of one scope wait for each other anyway."""
    with System(tmp_path_factory.mktemp("doubled"), mongod, replicas={"presence": 2, "guilds": 2}) as system:
        yield system


@pytest.mark.parametrize("what", AT_ONCE)
async def test_nothing_new_begins_with_who_is_being_deleted(doubled: System, what: str) -> None:
    """Whatever happens about that moment: either it came before, and is undone or prevents it, or it fails."""
    people = People(doubled)
    rooms = [await people.room(new=True) for _ in range(5)]
    bobs = await people.several(*["bob"] * 12)
    clients = [await people.connect(bob, 1) for bob in bobs]

    async def about_then(number: int, room: Room) -> None:
        await asyncio.sleep(random.uniform(0, 0.03))
        await begin_something(room, clients[number], bobs[number], what)

    for number, bob in enumerate(bobs):
        deleting = clients[number].call("delete_user", password=bob.password)
        others = [about_then(number, room) for room in rooms]
        outcomes = await asyncio.gather(deleting, *others, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, dict | RpcError | Closed) for outcome in outcomes), outcomes
    await done(doubled)
    deleted = [bob.id for bob in bobs if (doubled.db.users.find_one({"_id": bob.id}) or {}).get("deleted")]
    assert deleted or what == "add_server"
    assert {user_id: left for user_id in deleted if (left := what_is_left(doubled, user_id))} == {}
    await people.close()


async def test_whoever_dies_meanwhile_the_rest_is_done(make_system: Callable[..., System]) -> None:
    """The services are killed as soon as the deletion is acknowledged."""
    system = make_system(gateways=1).start()
    people = People(system)
    try:
        bob = await people.register("bob")
        client = await people.connect(bob)
        owner = await people.connect(await people.register("ann"))
        servers = [(await owner.call("add_server", name=f"server {number}"))["id"] for number in range(25)]
        for server_id in servers:
            await join(owner, client, server_id)
        await client.call("delete_user", password=bob.password)
        await asyncio.gather(*(system.kill(name) for name in ("guilds-0", "presence-0")))
        await system.launch("guilds-0", "presence-0")
        await done(system)
        assert system.db.members.count_documents({"user_id": bob.id}) == 0
        assert [server["num_members"] for server in system.db.servers.find()] == [1] * 25
        assert len((await owner.call("get_servers"))["servers"]) == 25
    finally:
        await people.close()
