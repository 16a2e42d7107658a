"""Roles: making, changing, ranking and deleting them, and who may; the reply, the events at others, the documents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.rig import (
    People,
    Room,
    System,
    assert_dense,
    entry,
    eventually,
    general,
    give,
    join,
    perm_rev,
    promote,
    refused,
)

ROLE = {"id", "name", "color", "rules", "position", "rev"}


async def add(room: Room, *rules: str, **more: Any) -> dict[str, Any]:
    params = {"server_id": room.server_id, "name": "Helper", "color": "#ff8800", "rules": [*rules], **more}
    made: dict[str, Any] = await room.owner.call("add_role", **params)
    return made


async def change(room: Room, role_id: str, **changes: Any) -> dict[str, Any]:
    params = {"server_id": room.server_id, "role_id": role_id, "changes": changes}
    changed: dict[str, Any] = await room.owner.call("update_role", **params)
    return changed


async def everyone(room: Room) -> dict[str, Any]:
    roles = await room.owner.call("get_server_roles", server_id=room.server_id)
    return next(role for role in roles["roles"] if role["name"] == "everyone")


@pytest.mark.protocol("add_role", "role_added")
async def test_add_role(system: System, people: People) -> None:
    room = await people.room()
    made = await add(room, "manage_messages", "kick_members", "manage_messages")
    assert set(made) == ROLE
    assert (made["name"], made["color"], made["position"]) == ("Helper", "#ff8800", 1)
    assert made["rules"] == ["manage_messages", "kick_members"]
    heard = await room.member.event("role_added", scope=f"server:{room.server_id}")
    assert (heard.rev, heard.params["role"]) == (made["rev"], made)
    assert (await room.owner.event("role_added", rev=made["rev"])).params["role"] == made
    assert (system.db.roles.find_one({"_id": made["id"]}) or {})["rules"] == made["rules"]
    await assert_dense(system, f"server:{room.server_id}", made["rev"])


async def test_a_new_role_starts_lowest(people: People) -> None:
    room = await people.room()
    made = [await add(room) for _ in range(3)]
    listed = await room.member.call("get_server_roles", server_id=room.server_id)
    assert set(listed) == {"rev", "full", "roles"}
    assert [role["id"] for role in listed["roles"]] == [
        (await everyone(room))["id"],
        *(role["id"] for role in reversed(made)),
    ]
    assert listed["roles"][0]["position"] == 0 < listed["roles"][1]["position"]


@pytest.mark.protocol("get_server_roles")
async def test_get_server_roles(people: People) -> None:
    """Ordered by position and id; a member's own; and what changed since."""
    room = await people.room()
    low, high, other = await add(room), await add(room), await add(room)
    for role, position in ((low, 5), (high, 7), (other, 5)):
        await change(room, role["id"], position=position)
    listed = await room.member.call("get_server_roles", server_id=room.server_id)
    tied = sorted((low["id"], other["id"]))
    assert [role["id"] for role in listed["roles"]][1:] == [*tied, high["id"]]

    await give(room, [high["id"]])
    theirs = await room.owner.call("get_server_roles", server_id=room.server_id, user_id=room.member_is.id, since=1)
    assert [role["id"] for role in theirs["roles"]] == [(await everyone(room))["id"], high["id"]]
    nobody = room.owner.call("get_server_roles", server_id=room.server_id, user_id="0" * 24)
    assert (await refused(nobody)).reason == "not_found"

    await change(room, low["id"], name="renamed")
    await room.owner.call("delete_role", server_id=room.server_id, role_id=other["id"])
    new = await add(room)
    delta = await room.member.call("get_server_roles", server_id=room.server_id, since=listed["rev"])
    assert (delta["rev"], delta["full"], delta["deleted"]) == (new["rev"], False, [other["id"]])
    assert {role["id"]: role["name"] for role in delta["updated"]} == {low["id"]: "renamed", new["id"]: "Helper"}
    assert (await room.member.call("get_server_roles", server_id=room.server_id, since=new["rev"]))["updated"] == []


@pytest.mark.protocol("update_role", "role_changed")
async def test_update_role(system: System, people: People) -> None:
    room = await people.room()
    made = await add(room, "kick_members")
    before = perm_rev(system, room.server_id)
    changed = await change(room, made["id"], name="Keeper", color="#ff8800", position=12.5)
    assert changed == {**made, "name": "Keeper", "position": 12.5, "rev": made["rev"] + 1}
    heard = await room.member.event("role_changed", scope=f"server:{room.server_id}")
    assert heard.params["changes"] == {"name": "Keeper", "position": 12.5}
    assert (heard.rev, heard.params["was"], heard.params["role_id"]) == (changed["rev"], made["rev"], made["id"])
    assert perm_rev(system, room.server_id) == before

    again = await change(room, made["id"], rules=["ban_members", "kick_members"])
    assert entry(system, f"server:{room.server_id}", again["rev"])[0]["params"]["changes"] == {
        "rules": ["ban_members", "kick_members"]
    }
    assert perm_rev(system, room.server_id) == again["rev"]
    assert (system.db.roles.find_one({"_id": made["id"]}) or {})["rev"] == again["rev"]


async def test_what_changes_nothing_is_no_change(system: System, people: People) -> None:
    room = await people.room()
    made = await add(room, "kick_members", "ban_members")
    same = {"name": "Helper", "rules": ["ban_members", "kick_members", "ban_members"], "position": 1}
    assert await change(room, made["id"], **same) == made
    assert await change(room, made["id"]) == made
    await assert_dense(system, f"server:{room.server_id}", made["rev"])


async def test_if_rev_keeps_a_later_change(people: People) -> None:
    """One of two who saw the same wins, the other is told the revision."""
    room = await people.room()
    made = await add(room)
    device = await people.connect(room.owner_is, 1)
    params = {"server_id": room.server_id, "role_id": made["id"], "if_rev": made["rev"]}
    outcomes = await asyncio.gather(
        room.owner.call("update_role", **params, changes={"name": "one"}),
        device.call("update_role", **params, changes={"name": "two"}),
        return_exceptions=True,
    )
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    refusal = await refused(room.owner.call("update_role", **params, changes={"name": "three"}))
    assert (refusal.code, refusal.reason, refusal.data["rev"]) == (4090, "conflict", won["rev"])
    params["if_rev"] = won["rev"]
    assert (await room.owner.call("update_role", **params, changes={"name": "three"}))["name"] == "three"


@pytest.mark.parametrize("changes", [{"name": "all"}, {"position": 3}])
async def test_everyone_keeps_its_name_and_place(people: People, changes: dict[str, Any]) -> None:
    room = await people.room()
    role = await everyone(room)
    call = room.owner.call("update_role", server_id=room.server_id, role_id=role["id"], changes=changes)
    assert (await refused(call)).reason == "conflict"
    gone = room.owner.call("delete_role", server_id=room.server_id, role_id=role["id"])
    assert (await refused(gone)).reason == "conflict"
    changed = await change(room, role["id"], rules=["view_channel"], name="everyone", position=0)
    assert changed["rules"] == ["view_channel"]
    said = room.member.call("add_message", channel_id=room.channel_id, content="x")
    assert (await refused(said)).data["needs"] == "send_messages"


@pytest.mark.protocol("delete_role", "role_deleted")
async def test_delete_role(system: System, people: People) -> None:
    """At once it is nobody's and in no channel; from the members' documents it goes in its own time."""
    room = await people.room()
    role = await promote(room, "manage_messages")
    overwrites = [{"role_id": role["id"], "allow": ["view_channel"], "deny": []}]
    named = {"channel_id": room.channel_id, "changes": {"roles": overwrites}}
    assert (await room.owner.call("update_channel", **named))["roles"] == overwrites
    assert await room.owner.call("delete_role", server_id=room.server_id, role_id=role["id"]) == {}
    heard = await room.member.event("role_deleted", scope=f"server:{room.server_id}", role_id=role["id"])
    assert heard.rev == perm_rev(system, room.server_id)
    assert (await room.member.call("get_server", server_id=room.server_id))["me"]["roles"] == []
    channel = await room.member.call("get_server_channel", channel_id=room.channel_id)
    assert channel["roles"] == []
    assert role["id"] not in channel["roles_with_access"]
    members = await room.owner.call("get_server_members", server_id=room.server_id, amount=10)
    assert [member["roles"] for member in members["members"]] == [[], []]
    assert (await refused(room.owner.call("delete_message", channel_id=room.channel_id, message_id=1))).code == 4040
    assert await room.owner.call("delete_role", server_id=room.server_id, role_id=role["id"]) == {}
    await eventually(lambda: not system.db.members.count_documents({"roles": role["id"]}), "no member has it")
    await eventually(lambda: not system.db.cascades.count_documents({"about.role_id": role["id"]}), "all is done")
    await assert_dense(system, f"server:{room.server_id}", heard.rev)


async def test_only_who_manages_roles_may(people: People) -> None:
    room = await people.room()
    role = await add(room)
    named = {"server_id": room.server_id, "role_id": role["id"]}
    for method, params in (
        ("add_role", {"server_id": room.server_id, "name": "x", "color": "", "rules": []}),
        ("update_role", {**named, "changes": {"name": "x"}}),
        ("delete_role", named),
    ):
        refusal = await refused(room.member.call(method, **params))
        assert (refusal.code, refusal.data["needs"]) == (4030, "manage_roles")


async def test_only_roles_below_ones_own(people: People) -> None:
    """Not one's own, none above, none of the same position with a later id, and none can be moved up there."""
    room = await people.room()
    mine = await promote(room, "manage_roles", position=10)
    above, below = await add(room), await add(room)
    while above["id"] < mine["id"]:  # of one second, ids are in no order
        above = await add(room)
    await change(room, above["id"], position=10)
    theirs = {"server_id": room.server_id}
    for role in (mine, above):
        named = {**theirs, "role_id": role["id"]}
        assert (await refused(room.member.call("update_role", **named, changes={"name": "y"}))).code == 4030
        assert (await refused(room.member.call("delete_role", **named))).code == 4030
    named = {**theirs, "role_id": below["id"]}
    for position in (10, 10.5) if below["id"] > mine["id"] else (10.5,):
        assert (await refused(room.member.call("update_role", **named, changes={"position": position}))).code == 4030
    assert (await room.member.call("update_role", **named, changes={"position": 9, "name": "y"}))["position"] == 9
    assert await room.member.call("delete_role", **named) == {}


async def test_administrator_has_every_rule_and_no_rank(people: People) -> None:
    room = await people.room()
    await promote(room, "administrator", position=1)
    above = await add(room)
    await change(room, above["id"], position=2)
    call = room.member.call("delete_role", server_id=room.server_id, role_id=above["id"])
    assert (await refused(call)).code == 4030
    made = await room.member.call(
        "add_role", server_id=room.server_id, name="x", color="", rules=["ban_members", "administrator"]
    )
    assert made["rules"] == ["ban_members", "administrator"]
    assert await room.member.call("delete_role", server_id=room.server_id, role_id=made["id"]) == {}


async def test_nobody_grants_what_they_lack(people: People) -> None:
    room = await people.room()
    await promote(room, "manage_roles", "kick_members", position=10)
    named = {"server_id": room.server_id, "name": "x", "color": ""}
    for rule in ("ban_members", "administrator"):
        refusal = await refused(room.member.call("add_role", **named, rules=["kick_members", rule]))
        assert (refusal.code, refusal.data["needs"]) == (4030, rule)
    made = await room.member.call("add_role", **named, rules=["kick_members"])
    strong = await add(room, "ban_members")
    wanted = {"server_id": room.server_id, "role_id": strong["id"]}
    # What was in it before may stay in it, or be taken out.
    both = await room.member.call("update_role", **wanted, changes={"rules": ["ban_members", "kick_members"]})
    assert both["rules"] == ["ban_members", "kick_members"]
    assert (await room.member.call("update_role", **wanted, changes={"rules": []}))["rules"] == []
    refusal = await refused(room.member.call("update_role", **wanted, changes={"rules": ["ban_members"]}))
    assert refusal.data["needs"] == "ban_members"
    assert made["rules"] == ["kick_members"]


async def test_nobody_gives_what_they_lack_in_a_channel(people: People) -> None:
    """A role may have little in the server, and more where a channel names it."""
    room = await people.room()
    await promote(room, "manage_roles", position=10)
    helper = await add(room)
    all_of = await everyone(room)
    roles = [
        {"role_id": all_of["id"], "allow": [], "deny": ["view_channel"]},
        {"role_id": helper["id"], "allow": ["view_channel", "manage_messages"], "deny": []},
    ]
    hidden = await room.owner.call("add_channel", server_id=room.server_id, name="hidden", roles=roles)
    mine = (await room.member.call("get_server", server_id=room.server_id))["me"]["roles"]
    carl = await people.register("carl")
    await join(room.owner, await people.connect(carl, 1), room.server_id)
    for user_id, wanted in ((room.member_is.id, [*mine, helper["id"]]), (carl.id, [helper["id"]])):
        named = {"server_id": room.server_id, "user_id": user_id, "changes": {"roles": wanted}}
        assert (await refused(room.member.call("update_member", **named))).data["needs"] == "manage_messages"
    # What is taken is not given; and what the giver has there may be.
    named = {"server_id": room.server_id, "user_id": carl.id}
    await room.owner.call("update_member", **named, changes={"roles": [helper["id"]]})
    assert (await room.member.call("update_member", **named, changes={"roles": []}))["roles"] == []
    theirs = {"role_id": mine[0], "allow": ["view_channel", "manage_messages"], "deny": []}
    await room.owner.call("update_channel", channel_id=hidden["id"], changes={"roles": [*roles, theirs]})
    given = await room.member.call("update_member", **named, changes={"roles": [helper["id"]]})
    assert given["roles"] == [helper["id"]]


async def test_a_role_of_another_server_is_none_here(people: People) -> None:
    room, other = await people.room(), await people.room()
    foreign = await add(other)
    call = room.owner.call("update_role", server_id=room.server_id, role_id=foreign["id"], changes={"name": "mine"})
    assert (await refused(call)).reason == "not_found"
    assert await room.owner.call("delete_role", server_id=room.server_id, role_id=foreign["id"]) == {}
    assert (await everyone(other))["id"]
    listed = await other.owner.call("get_server_roles", server_id=other.server_id)
    assert foreign["id"] in [role["id"] for role in listed["roles"]]


async def test_a_server_has_at_most_250_roles(people: People) -> None:
    client = await people.connect(await people.anybody())
    made = await client.call("add_server", name="x")
    call = ("add_role", {"server_id": made["id"], "name": "x", "color": "", "rules": []})
    for size in (50, 50, 50, 50, 49):
        outcomes = await client.batch(*[call] * size)
        assert all("id" in outcome for outcome in outcomes)
    assert (await refused(client.call(call[0], **call[1]))).reason == "conflict"
    listed = await client.call("get_server_roles", server_id=made["id"])
    assert len({role["position"] for role in listed["roles"]}) == 250


async def test_what_a_role_allows_holds_from_its_change_on(people: People) -> None:
    """Also for what a replica remembers: each write is judged by the rights of its moment."""
    room = await people.room()
    role = await promote(room, "manage_messages")
    for number in range(6):
        said = await room.owner.call("add_message", channel_id=room.channel_id, content="x")
        await change(room, role["id"], rules=["manage_messages"] if number % 2 else [])
        call = room.member.call("delete_message", channel_id=room.channel_id, message_id=said["id"])
        assert await call == {} if number % 2 else (await refused(call)).code == 4030


async def test_a_member_role_given_at_the_door(people: People) -> None:
    """`server_added` shows the roles that there are, and none of one's own yet."""
    room = await people.room()
    made = await add(room, "kick_members")
    carl = await people.connect(await people.anybody("carl"), 1)
    joined = await join(room.owner, carl, room.server_id)
    assert joined["me"]["roles"] == []
    told = await carl.event("server_added")
    assert told.params["roles"][-1] == made
    assert await general(carl, room.server_id) == room.channel_id
