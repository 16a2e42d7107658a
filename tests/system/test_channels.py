"""Channels and categories: changing, moving, closing them to some, deleting them; replies, entries, documents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import Client
from tests.rig import People, Room, System, assert_dense, entry, eventually, give, perm_rev, promote, refused

CHANNEL = {
    "id", "server_id", "name", "description", "category_id", "position",
    "roles", "roles_with_access", "last_message_id", "rev",
}  # fmt: skip
NOWHERE = "0" * 24


async def everyone_id(client: Client, server_id: str) -> str:
    roles = await client.call("get_server_roles", server_id=server_id)
    return next(str(role["id"]) for role in roles["roles"] if role["name"] == "everyone")


async def overwrite(room: Room, role_id: str, allow: list[str], deny: list[str]) -> dict[str, Any]:
    """Replaces all overwrites of the room's channel with this one."""
    roles = [{"role_id": role_id, "allow": allow, "deny": deny}]
    changed: dict[str, Any] = await room.owner.call(
        "update_channel", channel_id=room.channel_id, changes={"roles": roles}
    )
    return changed


async def hide(room: Room) -> dict[str, Any]:
    """Nobody but the owner sees the room's channel any more."""
    return await overwrite(room, await everyone_id(room.owner, room.server_id), [], ["view_channel"])


async def category(room: Room, name: str = "Tea", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = await room.owner.call("add_category", server_id=room.server_id, name=name, **more)
    return made


async def listing(client: Client, room: Room, **more: Any) -> Any:
    return await client.call("get_server_channels", server_id=room.server_id, **more)


def shape(listed: dict[str, Any]) -> list[tuple[str | None, list[str]]]:
    return [(each["name"], [channel["name"] for channel in each["channels"]]) for each in listed["categories"]]


async def manager_of_one(room: Room) -> None:
    """The member manages the room's channel, by its overwrite, and no other."""
    role = await promote(room)
    await overwrite(room, role["id"], ["manage_channels"], [])


async def test_a_channel_goes_into_no_category_that_one_does_not_see(people: People) -> None:
    room = await people.room()
    closed, open_ = await category(room, "closed"), await category(room, "open")
    everyone = {"role_id": await everyone_id(room.owner, room.server_id), "allow": [], "deny": ["view_channel"]}
    named = {"server_id": room.server_id, "name": "x"}
    await room.owner.call("add_channel", **named, category_id=closed["id"], roles=[everyone])
    await room.owner.call("add_channel", **named, category_id=open_["id"])
    await manager_of_one(room)

    async def move(category_id: str) -> Any:
        return await room.member.call(
            "update_channel", channel_id=room.channel_id, changes={"category_id": category_id}
        )

    unseen, missing = await refused(move(closed["id"])), await refused(move(NOWHERE))
    assert (unseen.code, unseen.message, unseen.data) == (missing.code, missing.message, missing.data)
    assert unseen.reason == "not_found"
    assert (await move(open_["id"]))["category_id"] == open_["id"]


async def test_who_manages_a_channel_alone_deletes_it_twice(people: People) -> None:
    room = await people.room()
    await manager_of_one(room)
    for _ in range(2):
        assert await room.member.call("delete_channel", channel_id=room.channel_id) == {}
        assert await room.owner.call("delete_channel", channel_id=room.channel_id) == {}


async def test_what_is_allowed_and_denied_is_allowed(people: People) -> None:
    room = await people.room()
    role = await promote(room)
    changed = await overwrite(room, role["id"], ["view_channel"], ["view_channel", "add_reactions"])
    assert changed["roles"] == [{"role_id": role["id"], "allow": ["view_channel"], "deny": ["add_reactions"]}]


@pytest.mark.protocol("update_channel", "channel_updated")
async def test_update_channel(system: System, people: People) -> None:
    room = await people.room()
    tea = await category(room)
    await room.owner.call("add_message", channel_id=room.channel_id, content="x")
    before = await room.owner.call("get_server_channel", channel_id=room.channel_id)
    changes = {"name": "green", "description": "Sencha", "category_id": tea["id"], "position": 2.5}
    changed = await room.owner.call("update_channel", channel_id=room.channel_id, changes=changes)
    assert set(changed) == CHANNEL
    assert {**changed, "full": True} == {**before, **changes, "rev": changed["rev"]}
    heard = await room.member.event("channel_updated", channel_id=room.channel_id)
    assert (heard.rev, heard.params["changes"]) == (changed["rev"], changes)
    assert heard.params["was"] < heard.rev
    stored = system.db.channels.find_one({"_id": room.channel_id}) or {}
    assert {name: stored[name] for name in changes} == changes
    assert stored["rev"] == changed["rev"]

    only = await room.owner.call(
        "update_channel", channel_id=room.channel_id, changes={"description": None, "name": "green"}
    )
    second = await room.member.event("channel_updated", rev=only["rev"])
    assert second.params["changes"] == {"description": None}
    assert second.params["was"] == changed["rev"]
    same = await room.owner.call("update_channel", channel_id=room.channel_id, changes={"name": "green"})
    assert same == only
    out = await room.owner.call("update_channel", channel_id=room.channel_id, changes={"category_id": None})
    assert out["category_id"] is None
    await assert_dense(system, f"server:{room.server_id}", out["rev"])


async def test_update_channel_with_if_rev(people: People) -> None:
    room = await people.room()
    first = await room.owner.call("update_channel", channel_id=room.channel_id, changes={"name": "one"})
    stale = room.owner.call(
        "update_channel", channel_id=room.channel_id, changes={"name": "two"}, if_rev=first["rev"] - 1
    )
    refusal = await refused(stale)
    assert (refusal.code, refusal.data["rev"]) == (4090, first["rev"])
    # What another channel did since is no matter.
    later = (await room.owner.call("add_channel", server_id=room.server_id, name="other"))["rev"]
    for if_rev in (first["rev"], later):
        changed = await room.owner.call(
            "update_channel", channel_id=room.channel_id, changes={"name": f"{if_rev}"}, if_rev=later
        )
        later = changed["rev"]


async def test_a_channel_goes_only_where_there_is_a_category(people: People) -> None:
    room, other = await people.room(), await people.room()
    foreign = await category(other)
    for category_id in (NOWHERE, foreign["id"]):
        call = room.owner.call("update_channel", channel_id=room.channel_id, changes={"category_id": category_id})
        assert (await refused(call)).reason == "not_found"
        call = room.owner.call("add_channel", server_id=room.server_id, name="x", category_id=category_id)
        assert (await refused(call)).reason == "not_found"


async def test_overwrites_decide_who_sees(system: System, people: People) -> None:
    """The entry carries all that decides, and what was judged before no longer counts."""
    room = await people.room()
    role = await promote(room)
    everyone = await everyone_id(room.owner, room.server_id)
    hidden = await hide(room)
    assert hidden["roles"] == [{"role_id": everyone, "allow": [], "deny": ["view_channel"]}]
    assert hidden["roles_with_access"] == []
    (told,) = entry(system, f"server:{room.server_id}", hidden["rev"])
    assert told["params"]["changes"] == {"roles": hidden["roles"], "roles_with_access": []}
    assert told["to"] == "viewers"
    assert perm_rev(system, room.server_id) == hidden["rev"]
    for method, params in (
        ("get_server_channel", {}),
        ("add_message", {"content": "x"}),
        ("update_channel", {"changes": {"name": "x"}}),
        ("delete_channel", {}),
        ("get_message_chunk", {"amount": 1, "anchor": 0, "direction": False}),
    ):
        foreign = await refused(room.member.call(method, channel_id=room.channel_id, **params))
        never = await refused(room.member.call(method, channel_id=NOWHERE, **params))
        assert (foreign.code, foreign.message, foreign.data) == (never.code, never.message, never.data)
        assert foreign.reason == "not_found"
    assert shape(await listing(room.member, room)) == [(None, [])]

    again = await overwrite(room, role["id"], ["view_channel"], [])
    assert again["roles_with_access"] == sorted([everyone, role["id"]])
    assert await room.member.call("add_message", channel_id=room.channel_id, content="back")
    assert shape(await listing(room.member, room)) == [(None, ["general"])]


async def test_the_same_overwrites_again_change_nothing(system: System, people: People) -> None:
    room = await people.room()
    role = await promote(room)
    made = await overwrite(room, role["id"], ["view_channel", "send_messages"], ["add_reactions"])
    assert await overwrite(room, role["id"], ["send_messages", "view_channel"], ["add_reactions"]) == made
    await assert_dense(system, f"server:{room.server_id}", made["rev"])


async def test_overwrites_want_what_one_has_there(people: People) -> None:
    """Beside `manage_channels` also `manage_roles`, and of the rules that are set each one; both as in the channel."""
    room = await people.room()
    role = await promote(room, "manage_channels")
    named: dict[str, Any] = {"channel_id": room.channel_id}

    def wanted(*allow: str, deny: tuple[str, ...] = ()) -> dict[str, Any]:
        return {"roles": [{"role_id": role["id"], "allow": [*allow], "deny": [*deny]}]}

    refusal = await refused(room.member.call("update_channel", **named, changes=wanted("send_messages")))
    assert refusal.data["needs"] == "manage_roles"
    assert (await room.member.call("update_channel", **named, changes={"name": "mine"}))["name"] == "mine"
    add = room.member.call("add_channel", server_id=room.server_id, name="x", **wanted("send_messages"))
    assert (await refused(add)).data["needs"] == "manage_roles"

    await promote(room, "manage_roles")
    refusal = await refused(room.member.call("update_channel", **named, changes=wanted("kick_members")))
    assert refusal.data["needs"] == "kick_members"
    refusal = await refused(room.member.call("update_channel", **named, changes=wanted(deny=("manage_messages",))))
    assert refusal.data["needs"] == "manage_messages"
    set_ = await room.member.call("update_channel", **named, changes=wanted("send_messages", deny=("add_reactions",)))
    assert set_["roles"][0]["deny"] == ["add_reactions"]
    # Nor is taken away what one lacks, here by the overwrite that was just set.
    refusal = await refused(room.member.call("update_channel", **named, changes={"roles": []}))
    assert refusal.data["needs"] == "add_reactions"
    made = await room.member.call("add_channel", server_id=room.server_id, name="x", **wanted("add_reactions"))
    assert made["roles"][0]["allow"] == ["add_reactions"]
    refusal = await refused(
        room.member.call("add_channel", server_id=room.server_id, name="x", **wanted("administrator"))
    )
    assert refusal.data["needs"] == "administrator"


async def test_rights_in_a_channel_can_be_more_or_less_than_in_the_server(people: People) -> None:
    room = await people.room()
    role = await promote(room, "manage_channels")
    await overwrite(room, role["id"], [], ["manage_channels"])
    change = {"channel_id": room.channel_id, "changes": {"name": "x"}}
    for call in (
        room.member.call("update_channel", **change),
        room.member.call("delete_channel", channel_id=room.channel_id),
    ):
        assert (await refused(call)).data["needs"] == "manage_channels"
    await room.owner.call("update_role", server_id=room.server_id, role_id=role["id"], changes={"rules": []})
    await overwrite(room, role["id"], ["manage_channels"], [])
    assert (await room.member.call("update_channel", **change))["name"] == "x"
    refusal = await refused(room.member.call("add_channel", server_id=room.server_id, name="y"))
    assert refusal.data["needs"] == "manage_channels"


async def test_overwrites_name_each_role_once_and_only_those_there_are(people: People) -> None:
    room, other = await people.room(), await people.room()
    role, foreign = await promote(room), await promote(other)
    one = {"role_id": role["id"], "allow": [], "deny": []}
    call = room.owner.call("update_channel", channel_id=room.channel_id, changes={"roles": [one, one]})
    assert (await refused(call)).code == -32602
    for role_id in (NOWHERE, foreign["id"]):
        roles = [{"role_id": role_id, "allow": ["view_channel"], "deny": []}]
        call = room.owner.call("update_channel", channel_id=room.channel_id, changes={"roles": roles})
        assert (await refused(call)).reason == "not_found"
        call = room.owner.call("add_channel", server_id=room.server_id, name="x", roles=roles)
        assert (await refused(call)).reason == "not_found"


async def test_a_new_channel_may_be_closed_from_the_beginning(people: People) -> None:
    room = await people.room()
    role = await promote(room, "view_channel")
    everyone = await everyone_id(room.owner, room.server_id)
    roles = [
        {"role_id": everyone, "allow": [], "deny": ["view_channel"]},
        {"role_id": role["id"], "allow": ["view_channel"], "deny": []},
    ]
    made = await room.owner.call("add_channel", server_id=room.server_id, name="closed", roles=roles)
    assert (made["roles"], made["roles_with_access"]) == (roles, [role["id"]])
    assert (await room.member.call("get_server_channel", channel_id=made["id"]))["name"] == "closed"
    await give(room, [])
    assert (await refused(room.member.call("get_server_channel", channel_id=made["id"]))).reason == "not_found"


@pytest.mark.protocol("get_server_channel")
async def test_get_server_channel(people: People) -> None:
    room = await people.room()
    await room.owner.call("add_message", channel_id=room.channel_id, content="x")
    shown = await room.member.call("get_server_channel", channel_id=room.channel_id)
    assert set(shown) == CHANNEL | {"full"}
    assert (shown["last_message_id"], shown["full"], shown["server_id"]) == (1, True, room.server_id)
    same = await room.member.call("get_server_channel", channel_id=room.channel_id, since=shown["rev"])
    assert same == {"rev": shown["rev"], "full": False, "updated": [], "deleted": []}
    other = await room.owner.call("add_channel", server_id=room.server_id, name="other")
    untouched = await room.member.call("get_server_channel", channel_id=room.channel_id, since=shown["rev"])
    assert untouched == {"rev": other["rev"], "full": False, "updated": [], "deleted": []}
    changed = await room.owner.call("update_channel", channel_id=room.channel_id, changes={"name": "new"})
    delta = await room.member.call("get_server_channel", channel_id=room.channel_id, since=shown["rev"])
    assert (delta["rev"], delta["updated"]) == (changed["rev"], [changed])
    role = await promote(room)
    await overwrite(room, role["id"], ["view_channel"], [])
    assert (await room.member.call("get_server_channel", channel_id=room.channel_id, since=shown["rev"]))["full"]
    stranger = await people.connect(await people.anybody("eve"))
    assert (await refused(stranger.call("get_server_channel", channel_id=room.channel_id))).reason == "not_found"


@pytest.mark.protocol("delete_channel", "channel_deleted")
async def test_delete_channel(system: System, people: People) -> None:
    room = await people.room()
    for number in range(3):
        await room.owner.call("add_message", channel_id=room.channel_id, content=f"{number}")
    await room.member.call("add_reaction", channel_id=room.channel_id, message_id=1, emoji="x")
    await room.member.call("update_read_state", channel_id=room.channel_id, message_id=2)
    assert (await refused(room.member.call("delete_channel", channel_id=room.channel_id))).code == 4030
    device = await people.connect(room.owner_is, 1)
    assert await room.owner.call("delete_channel", channel_id=room.channel_id) == {}
    heard = await room.member.event("channel_deleted", channel_id=room.channel_id)
    assert heard.scope == f"server:{room.server_id}"
    assert (await device.event("channel_deleted")).params == heard.params
    assert perm_rev(system, room.server_id) == heard.rev
    for client in (room.owner, room.member):
        for method, params in (
            ("add_message", {"content": "late"}),
            ("get_message_chunk", {"amount": 1, "anchor": 0, "direction": False}),
            ("get_server_channel", {}),
            ("update_channel", {"changes": {"name": "x"}}),
        ):
            assert (await refused(client.call(method, channel_id=room.channel_id, **params))).reason == "not_found"
    assert shape(await listing(room.member, room)) == [(None, [])]
    assert not system.db.channels.count_documents({"_id": room.channel_id})
    for kind in ("messages", "reactions", "reads"):
        held = system.db[kind]
        await eventually(lambda held=held: not held.count_documents({"channel_id": room.channel_id}), f"no {kind}")  # type: ignore[misc]
    await assert_dense(system, f"server:{room.server_id}", heard.rev)
    await assert_dense(system, f"channel:{room.channel_id}", 5)

    assert await room.owner.call("delete_channel", channel_id=room.channel_id) == {}
    stranger = await people.connect(await people.anybody("eve"))
    for client in (room.member, stranger):
        gone = await refused(client.call("delete_channel", channel_id=room.channel_id))
        never = await refused(client.call("delete_channel", channel_id=NOWHERE))
        assert (gone.code, gone.message, gone.data) == (never.code, never.message, never.data)


@pytest.mark.protocol("add_category", "category_added")
async def test_add_category(system: System, people: People) -> None:
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    first = await category(room)
    assert set(first) == {"id", "name", "position", "rev"}
    last = await category(room, "Coffee")
    between = await category(room, "Cocoa", position=(first["position"] + last["position"]) / 2)
    heard = await device.event("category_added", rev=first["rev"])
    assert heard.params["category"] == first
    shown = await listing(room.owner, room)
    assert shape(shown) == [(None, ["general"]), ("Tea", []), ("Cocoa", []), ("Coffee", [])]
    assert set(shown["categories"][1]) == {"id", "name", "position", "channels"}
    assert shape(await listing(room.member, room)) == [(None, ["general"])]
    assert system.db.categories.count_documents({"server_id": room.server_id}) == 3
    assert (await refused(room.member.call("add_category", server_id=room.server_id, name="x"))).data == {
        "reason": "forbidden",
        "needs": "manage_channels",
    }
    await assert_dense(system, f"server:{room.server_id}", between["rev"])


async def test_a_server_has_at_most_fifty_categories(people: People) -> None:
    client = await people.connect(await people.anybody())
    made = await client.call("add_server", name="x")
    outcomes = await client.batch(*[("add_category", {"server_id": made["id"], "name": "x"})] * 50)
    assert all("id" in outcome for outcome in outcomes)
    assert (await refused(client.call("add_category", server_id=made["id"], name="x"))).reason == "conflict"


@pytest.mark.protocol("update_category", "category_updated")
async def test_update_category(system: System, people: People) -> None:
    room = await people.room()
    tea = await category(room)
    await room.owner.call("update_channel", channel_id=room.channel_id, changes={"category_id": tea["id"]})
    named = {"server_id": room.server_id, "category_id": tea["id"]}
    changed = await room.owner.call("update_category", **named, changes={"name": "Teas", "position": tea["position"]})
    assert changed == {**tea, "name": "Teas", "rev": changed["rev"]}
    heard = await room.member.event("category_updated", category_id=tea["id"])
    assert (heard.rev, heard.params["changes"], heard.params["was"]) == (changed["rev"], {"name": "Teas"}, tea["rev"])
    assert (system.db.categories.find_one({"_id": tea["id"]}) or {})["name"] == "Teas"
    assert await room.owner.call("update_category", **named, changes={"name": "Teas"}) == changed
    stale = await refused(room.owner.call("update_category", **named, changes={"name": "x"}, if_rev=tea["rev"]))
    assert stale.data["rev"] == changed["rev"]
    assert (await refused(room.member.call("update_category", **named, changes={"name": "x"}))).code == 4030
    never = room.owner.call("update_category", server_id=room.server_id, category_id=NOWHERE, changes={"name": "x"})
    assert (await refused(never)).reason == "not_found"


@pytest.mark.protocol("delete_category", "category_deleted")
async def test_delete_category(system: System, people: People) -> None:
    """Its channels stay, moved out in the same change."""
    room = await people.room()
    tea = await category(room)
    named = {"server_id": room.server_id, "category_id": tea["id"]}
    second = await room.owner.call("add_channel", server_id=room.server_id, name="second", category_id=tea["id"])
    first = await room.owner.call("update_channel", channel_id=room.channel_id, changes={"category_id": tea["id"]})
    assert (await refused(room.member.call("delete_category", **named))).code == 4030
    assert await room.owner.call("delete_category", **named) == {}
    heard = await room.member.event("category_deleted", category_id=tea["id"])
    moved = [event.params for event in room.member.heard("channel_updated", rev=heard.rev)]
    assert [(each["channel_id"], each["changes"], each["was"]) for each in moved] == [
        (first["id"], {"category_id": None}, first["rev"]),
        (second["id"], {"category_id": None}, second["rev"]),
    ]
    assert [event.get("more") for event in moved] == [True, True]
    assert "more" not in heard.params
    assert shape(await listing(room.member, room)) == [(None, ["general", "second"])]
    stored = list(system.db.channels.find({"server_id": room.server_id}))
    assert [(each["category_id"], each["rev"]) for each in stored] == [(None, heard.rev)] * 2
    assert await room.owner.call("delete_category", **named) == {}
    await assert_dense(system, f"server:{room.server_id}", heard.rev)


@pytest.mark.protocol("get_server_channels")
async def test_a_category_shows_what_one_sees_of_it(people: People) -> None:
    room = await people.room()
    tea = await category(room)
    changes = {"category_id": tea["id"]}
    await room.owner.call("update_channel", channel_id=room.channel_id, changes=changes)
    assert shape(await listing(room.member, room)) == [(None, []), ("Tea", ["general"])]
    role = await promote(room)
    await hide(room)
    assert shape(await listing(room.member, room)) == [(None, [])]
    theirs = await listing(room.owner, room, user_id=room.member_is.id)
    assert shape(theirs) == [(None, [])]
    named = {"server_id": room.server_id, "role_id": role["id"]}
    await room.owner.call("update_role", **named, changes={"rules": ["manage_channels"]})
    assert shape(await listing(room.member, room)) == [(None, []), ("Tea", [])]


async def test_what_changed_of_the_list_since(people: People) -> None:
    room = await people.room()
    tea, coffee = await category(room), await category(room, "Coffee")
    start = (await listing(room.member, room))["rev"]
    assert await listing(room.member, room, since=start) == {
        "rev": start, "full": False, "updated": [], "deleted": [], "categories": [],
    }  # fmt: skip
    made = await room.owner.call("add_channel", server_id=room.server_id, name="new", category_id=tea["id"])
    delta = await listing(room.member, room, since=start)
    place = {name: made[name] for name in ("id", "name", "category_id", "position", "rev")}
    assert (delta["full"], delta["updated"], delta["categories"]) == (False, [place], [tea])
    # What one doesn't see is not named.
    await room.owner.call(
        "update_category", server_id=room.server_id, category_id=coffee["id"], changes={"name": "Kaffee"}
    )
    delta = await listing(room.member, room, since=made["rev"])
    assert (delta["updated"], delta["categories"], delta["deleted"]) == ([], [], [])
    mine = await listing(room.owner, room, since=made["rev"])
    assert [each["name"] for each in mine["categories"]] == ["Kaffee"]
    # With a channel its category may have gone out of sight: no entry says so.
    await room.owner.call("delete_channel", channel_id=made["id"])
    assert (await listing(room.member, room, since=made["rev"]))["full"]
    assert (await listing(room.owner, room, since=made["rev"]))["deleted"] == [made["id"]]
    await room.owner.call("delete_category", server_id=room.server_id, category_id=tea["id"])
    assert tea["id"] in (await listing(room.owner, room, since=made["rev"]))["deleted"]


async def test_a_list_whose_sight_may_have_changed_is_whole(people: People) -> None:
    room = await people.room()
    role = await promote(room)
    named = {"server_id": room.server_id, "role_id": role["id"]}
    other = (await room.owner.call("add_role", server_id=room.server_id, name="o", color="", rules=[]))["id"]

    async def since(rev: int) -> bool:
        listed = await listing(room.member, room, since=rev)
        one = await room.member.call("get_server_channel", channel_id=room.channel_id, since=rev)
        assert listed["full"] == one["full"]
        return bool(listed["full"])

    rev = (await listing(room.member, room))["rev"]
    theirs = {"server_id": room.server_id, "role_id": other}
    changed = await room.owner.call("update_role", **theirs, changes={"rules": ["kick_members"]})
    assert not await since(rev)  # a role of others
    await room.owner.call("update_role", **named, changes={"name": "y"})
    assert not await since(rev)  # only a name
    changed = await room.owner.call("update_role", **named, changes={"rules": ["kick_members"]})
    assert await since(rev)
    everyone = {"server_id": room.server_id, "role_id": await everyone_id(room.owner, room.server_id)}
    rules = ["view_channel", "send_messages"]
    before, changed = changed["rev"], await room.owner.call("update_role", **everyone, changes={"rules": rules})
    assert await since(before)
    before, changed = changed["rev"], await overwrite(room, other, ["send_messages"], [])
    assert await since(before)
    await give(room, [])
    assert await since(changed["rev"])
    rev = (await listing(room.member, room))["rev"]
    handed = await room.owner.call("update_server", server_id=room.server_id, changes={"owner_id": room.member_is.id})
    assert await since(rev)
    assert not await since(handed["rev"])


@pytest.mark.parametrize("method", ["add_channel", "add_category", "add_role", "add_ban"])
async def test_a_nonce_makes_one(system: System, people: People, method: str) -> None:
    """From any device, at once and later: the first outcome."""
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    every: dict[str, dict[str, Any]] = {
        "add_channel": {"name": "x", "roles": []},
        "add_category": {"name": "x"},
        "add_role": {"name": "x", "color": "", "rules": []},
        "add_ban": {"user_id": room.member_is.id, "why": "x"},
    }
    params = every[method]
    stored = {"add_channel": "channels", "add_category": "categories", "add_role": "roles", "add_ban": "bans"}[method]
    before = system.db[stored].count_documents({"server_id": room.server_id})
    params |= {"server_id": room.server_id, "nonce": "once"}
    outcomes = await asyncio.gather(*(client.call(method, **params) for client in (room.owner, device) * 3))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert system.db[stored].count_documents({"server_id": room.server_id}) == before + 1
    if method == "add_ban":
        await room.owner.call("delete_ban", server_id=room.server_id, user_id=room.member_is.id)
    assert await device.call(method, **params) == outcomes[0]
    await assert_dense(system, f"server:{room.server_id}")


async def test_a_server_has_at_most_500_channels(system: System, people: People) -> None:
    room = await people.room()
    first = system.db.channels.find_one({"_id": room.channel_id}) or {}
    system.db.channels.insert_many({**first, "_id": f"{room.server_id}.{number}"} for number in range(498))
    made = await room.owner.call("add_channel", server_id=room.server_id, name="last")
    refusal = await refused(room.owner.call("add_channel", server_id=room.server_id, name="too many"))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    await room.owner.call("delete_channel", channel_id=made["id"])
    assert await room.owner.call("add_channel", server_id=room.server_id, name="again")


async def test_a_server_has_at_most_5000_overwrites(system: System, people: People) -> None:
    room = await people.room()
    role = await promote(room)
    mine = {"role_id": role["id"], "allow": ["view_channel"], "deny": []}
    first = system.db.channels.find_one({"_id": room.channel_id}) or {}
    ghosts = [{**mine, "role_id": f"{number}"} for number in range(100)]
    full = [{**first, "_id": f"{room.server_id}.{number}", "roles": ghosts} for number in range(50)]
    full[0]["roles"] = ghosts[1:]
    system.db.channels.insert_many(full)
    named = {"server_id": room.server_id, "name": "x"}
    made = await room.owner.call("add_channel", **named, roles=[mine])
    assert (await refused(room.owner.call("add_channel", **named, roles=[mine]))).reason == "conflict"
    assert (await refused(overwrite(room, role["id"], ["view_channel"], []))).reason == "conflict"
    changed = await room.owner.call(
        "update_channel", channel_id=made["id"], changes={"roles": [{**mine, "deny": ["add_reactions"]}]}
    )
    assert changed["roles"][0]["deny"] == ["add_reactions"]
    await room.owner.call("update_channel", channel_id=made["id"], changes={"roles": []})
    assert (await overwrite(room, role["id"], ["view_channel"], []))["roles"] == [mine]


async def test_two_devices_at_once_lose_nothing(system: System, people: People) -> None:
    """Crossing changes of one server come one after the other, each with a revision of its own."""
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add_role", {"name": "x", "color": "", "rules": []}),
        ("add_category", {"name": "x"}),
        ("add_channel", {"name": "x"}),
        ("update_server", {"changes": {"name": "y"}}),
        ("update_member", {"user_id": room.member_is.id, "changes": {"nick": "z"}}),
    ]
    made = await asyncio.gather(
        *(
            client.call(method, server_id=room.server_id, **params)
            for method, params in calls
            for client in (room.owner, device)
        )
    )
    new = [entity["rev"] for entity in made[:6]]
    assert len(set(new)) == 6
    await assert_dense(system, f"server:{room.server_id}")
    listed = await room.owner.call("get_server_roles", server_id=room.server_id)
    assert len({role["position"] for role in listed["roles"]}) == 3
