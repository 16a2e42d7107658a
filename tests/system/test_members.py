"""Members, bans and invites: nick and roles, removing and banning; replies, events, documents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import Client
from tests.pictures import flag, saved
from tests.rig import (
    People,
    Person,
    Room,
    System,
    assert_dense,
    entry,
    eventually,
    give,
    join,
    perm_rev,
    promote,
    refused,
)
from tests.web import Web

MEMBER = {"user", "roles", "nick", "joined_date", "rev"}


async def nick(client: Client, room: Room, user_id: str, name: str | None) -> dict[str, Any]:
    changed: dict[str, Any] = await client.call(
        "update_member", server_id=room.server_id, user_id=user_id, changes={"nick": name}
    )
    return changed


async def third(people: People, room: Room, name: str = "carl") -> tuple[Client, Person]:
    """One more member, on the second gateway."""
    person = await people.register(name)
    client = await people.connect(person, 1)
    await join(room.owner, client, room.server_id)
    return client, person


@pytest.mark.protocol("update_member", "member_changed")
async def test_ones_own_nick_is_free(system: System, people: People) -> None:
    room = await people.room()
    changed = await nick(room.member, room, room.member_is.id, "Bobby")
    assert set(changed) == MEMBER
    assert (changed["nick"], changed["roles"], changed["user"]["id"]) == ("Bobby", [], room.member_is.id)
    heard = await room.member.event("member_changed", scope=f"server:{room.server_id}")
    assert heard.params["changes"] == {"nick": "Bobby"}
    assert (heard.rev, heard.params["user_id"]) == (changed["rev"], room.member_is.id)
    assert not room.owner.heard("member_changed", scope=f"server:{room.server_id}")
    stored = system.db.members.find_one({"server_id": room.server_id, "user_id": room.member_is.id}) or {}
    assert (stored["nick"], stored["name_key"], stored["rev"]) == ("Bobby", "bobby", changed["rev"])
    again = await nick(room.member, room, room.member_is.id, "Bobby")
    assert again == changed

    before = perm_rev(system, room.server_id)
    loaded = await room.owner.call("get_server_members", server_id=room.server_id, amount=10)
    cleared = await nick(room.member, room, room.member_is.id, None)
    told = await room.owner.event("member_changed", rev=cleared["rev"])
    assert (told.params["changes"], told.params["was"]) == ({"nick": None}, changed["rev"])
    assert perm_rev(system, room.server_id) == before
    delta = await room.owner.call("get_server_members", server_id=room.server_id, amount=10, since=loaded["rev"])
    assert (delta["full"], [member["nick"] for member in delta["updated"]]) == (False, [None])
    mine = await room.member.call("get_server", server_id=room.server_id, since=loaded["rev"])
    assert mine["updated"][0]["me"] == {"roles": [], "nick": None, "rev": cleared["rev"]}
    hers = await room.owner.call("get_server", server_id=room.server_id, since=loaded["rev"])
    assert hers["updated"] == []
    await assert_dense(system, f"server:{room.server_id}", cleared["rev"])


async def test_anothers_nick_needs_manage_roles_and_rank(people: People) -> None:
    room = await people.room()
    carl, carl_is = await third(people, room)
    named = {"server_id": room.server_id, "user_id": carl_is.id}
    refusal = await refused(nick(room.member, room, carl_is.id, "x"))
    assert refusal.data["needs"] == "manage_roles"
    role = await promote(room, "manage_roles")
    assert (await nick(room.member, room, carl_is.id, "x"))["nick"] == "x"
    assert (await refused(nick(room.member, room, room.owner_is.id, "x"))).code == 4030
    await room.owner.call("update_member", **named, changes={"roles": [role["id"]]})
    assert (await refused(nick(room.member, room, carl_is.id, "y"))).code == 4030  # of the same rank
    assert (await nick(room.owner, room, carl_is.id, "y"))["nick"] == "y"
    assert (await nick(carl, room, carl_is.id, None))["nick"] is None


async def test_giving_and_taking_roles(system: System, people: People) -> None:
    room = await people.room()
    roles = [(await promote(room, "kick_members"))["id"] for _ in range(2)]
    changed = await give(room, roles[::-1])
    assert set(changed["roles"]) == set(roles)
    rev = perm_rev(system, room.server_id)
    (told,) = entry(system, f"server:{room.server_id}", rev)
    assert (told["name"], told["to"]) == ("member_changed", "members")
    assert set(told["params"]["changes"]) == {"roles"}
    taken = await give(room, [])
    heard = await room.member.event("member_changed", rev=taken["rev"])
    assert (heard.params["changes"], taken["roles"]) == ({"roles": []}, [])
    assert perm_rev(system, room.server_id) == taken["rev"]
    assert (await give(room, []))["rev"] == taken["rev"]
    assert (await room.member.call("get_server", server_id=room.server_id, since=rev))["full"]
    assert (system.db.members.find_one({"user_id": room.member_is.id, "server_id": room.server_id}) or {})[
        "roles"
    ] == []


async def test_who_is_given_sight_starts_to_read_at_the_end(people: People) -> None:
    """What was said of them while they could not see it is behind them; what they saw before stays as it was."""
    room = await people.room(new=True)
    role = await promote(room)
    await give(room, [])
    listed = await room.owner.call("get_server_roles", server_id=room.server_id)
    hidden = [
        {"role_id": listed["roles"][0]["id"], "allow": [], "deny": ["view_channel"]},
        {"role_id": role["id"], "allow": ["view_channel"], "deny": []},
    ]
    closed = await room.owner.call("add_channel", server_id=room.server_id, name="closed", roles=hidden)
    for channel_id in (closed["id"], room.channel_id):
        await room.owner.call("add_message", channel_id=channel_id, content=f"<@{room.member_is.id}>")
    await give(room, [role["id"]])
    await room.owner.call("add_message", channel_id=closed["id"], content=f"<@{room.member_is.id}>")
    states = await room.member.call("get_read_states", server_id=room.server_id)
    read = {state["channel_id"]: (state["read_id"], state["mentions"]) for state in states["read_states"]}
    assert read == {closed["id"]: (1, 1), room.channel_id: (0, 1)}


async def test_who_may_give_which_roles(people: People) -> None:
    """Only those below one's own highest, and nothing one lacks; also to and from oneself."""
    room = await people.room()
    carl, carl_is = await third(people, room)
    weak = await promote(room, "kick_members")
    strong = await promote(room, "ban_members")
    await give(room, [])
    mine = await promote(room, "manage_roles", "kick_members", position=0.9)
    high = await promote(room, position=2)
    await give(room, [mine["id"]])

    async def given(*roles: dict[str, Any], by: Client = room.member, to: str = carl_is.id) -> Any:
        changes = {"roles": [role["id"] for role in roles]}
        return await by.call("update_member", server_id=room.server_id, user_id=to, changes=changes)

    refusal = await refused(given(strong))
    assert refusal.data["needs"] == "ban_members"
    for above in (mine, high):
        refusal = await refused(given(above))
        assert (refusal.code, "needs" in refusal.data) == (4030, False)
    assert weak["position"] > mine["position"] > strong["position"]
    assert (await refused(given(weak))).code == 4030
    await room.owner.call("update_role", server_id=room.server_id, role_id=weak["id"], changes={"position": 0.1})
    assert (await given(weak))["roles"] == [weak["id"]]
    assert (await given(weak, strong, by=room.owner))["roles"] == [weak["id"], strong["id"]]
    assert (await given(weak))["roles"] == [weak["id"]]  # taking needs no more than rank
    assert (await given(weak, high, by=room.owner))["roles"]
    assert (await refused(given(weak))).code == 4030  # nor is taken what is above
    assert (await refused(given(high, by=carl))).data["needs"] == "manage_roles"
    assert (await refused(given(to=room.member_is.id))).code == 4030
    assert set((await given(mine, weak, to=room.member_is.id))["roles"]) == {mine["id"], weak["id"]}


async def test_odd_roles_are_refused(people: People) -> None:
    room, other = await people.room(), await people.room()
    role, foreign = await promote(room), await promote(other)
    listed = await room.owner.call("get_server_roles", server_id=room.server_id)
    everyone = next(each["id"] for each in listed["roles"] if each["name"] == "everyone")
    for roles, code in (
        ([role["id"]] * 2, -32602),
        ([everyone], -32602),
        (["0" * 24], 4040),
        ([foreign["id"]], 4040),
    ):
        assert (await refused(give(room, roles))).code == code
    nobody = room.owner.call("update_member", server_id=room.server_id, user_id="0" * 24, changes={"nick": "x"})
    assert (await refused(nobody)).reason == "not_found"


async def test_update_member_with_if_rev(people: People) -> None:
    room = await people.room()
    changed = await nick(room.member, room, room.member_is.id, "one")
    named = {"server_id": room.server_id, "user_id": room.member_is.id, "changes": {"nick": "two"}}
    stale = await refused(room.member.call("update_member", **named, if_rev=changed["rev"] - 1))
    assert (stale.reason, stale.data["rev"]) == ("conflict", changed["rev"])
    assert (await room.member.call("update_member", **named, if_rev=changed["rev"]))["nick"] == "two"


@pytest.mark.protocol("delete_member", "member_deleted", "server_deleted")
async def test_delete_member(system: System, people: People) -> None:
    room = await people.room()
    carl, _ = await third(people, room)
    named = {"server_id": room.server_id, "user_id": room.member_is.id}
    refusal = await refused(carl.call("delete_member", **named))
    assert refusal.data["needs"] == "kick_members"
    await carl.call("get_server_members", server_id=room.server_id, amount=10)
    assert await room.owner.call("delete_member", **named) == {}
    heard = await room.member.event("server_deleted", server_id=room.server_id)
    assert (heard.scope, heard.params["why"]) == (f"self:{room.member_is.id}", "kicked")
    told = await carl.event("member_deleted", user_id=room.member_is.id)
    assert told.rev == perm_rev(system, room.server_id)
    assert (await refused(room.member.call("get_server", server_id=room.server_id))).reason == "not_found"
    assert (await carl.call("get_server", server_id=room.server_id))["num_members"] == 2
    assert not system.db.members.count_documents(named)
    assert await room.owner.call("delete_member", **named) == {}
    assert await join(room.owner, room.member, room.server_id)  # a kick is no ban
    await assert_dense(system, f"server:{room.server_id}")
    await assert_dense(system, f"self:{room.member_is.id}")


@pytest.mark.parametrize("method", ["delete_member", "add_ban"])
async def test_whom_one_may_remove(people: People, method: str) -> None:
    """Who ranks below oneself: not the owner, not an equal, and not oneself."""
    room = await people.room()
    carl, carl_is = await third(people, room)
    role = await promote(room, "kick_members", "ban_members")
    named = {"server_id": room.server_id}
    assert (await refused(room.member.call(method, **named, user_id=room.owner_is.id))).code == 4030
    for client, person in ((room.member, room.member_is), (room.owner, room.owner_is)):
        assert (await refused(client.call(method, **named, user_id=person.id))).reason == "conflict"
    await room.owner.call("update_member", **named, user_id=carl_is.id, changes={"roles": [role["id"]]})
    assert (await refused(room.member.call(method, **named, user_id=carl_is.id))).code == 4030
    await room.owner.call("update_member", **named, user_id=carl_is.id, changes={"roles": []})
    await room.member.call(method, **named, user_id=carl_is.id)
    assert (await carl.event("server_deleted")).params["why"] == ("kicked" if method == "delete_member" else "banned")


@pytest.mark.protocol("add_ban")
async def test_add_ban(system: System, people: People) -> None:
    room = await people.room()
    carl, _ = await third(people, room)
    theirs = await room.member.call("add_invite", server_id=room.server_id)
    others = await carl.call("add_invite", server_id=room.server_id)
    named = {"server_id": room.server_id, "user_id": room.member_is.id}
    assert (await refused(carl.call("add_ban", **named))).data["needs"] == "ban_members"
    ban = await room.owner.call("add_ban", **named, why="Noise")
    assert set(ban) == {"user", "why", "by", "date"}
    assert (ban["user"]["id"], ban["why"], ban["by"]) == (room.member_is.id, "Noise", room.owner_is.id)
    heard = await room.member.event("server_deleted", server_id=room.server_id)
    assert heard.params["why"] == "banned"
    for code in (theirs["code"], others["code"]):
        refusal = await refused(room.member.call("join_server", invite=code))
        never = await refused(room.member.call("join_server", invite="never1was2"))
        assert (refusal.code, refusal.message, refusal.data) == (never.code, never.message, never.data)
        assert (await refused(room.member.call("get_server", invite=code))).reason == "not_found"
    stranger = await people.open()
    assert (await refused(stranger.call("get_server", invite=theirs["code"]))).reason == "not_found"
    assert (await stranger.call("get_server", invite=others["code"]))["id"] == room.server_id
    assert system.db.bans.count_documents(named) == 1
    assert perm_rev(system, room.server_id) == (await carl.call("get_server", server_id=room.server_id))["rev"]
    again = await room.owner.call("add_ban", **named, why="Other")
    assert again == ban
    await assert_dense(system, f"server:{room.server_id}")
    await assert_dense(system, f"self:{room.member_is.id}", heard.rev)


@pytest.mark.protocol("delete_ban")
async def test_delete_ban(system: System, people: People) -> None:
    """Also who is no member can be banned, and pardoned."""
    room = await people.room()
    dora = await people.anybody("dora")
    client = await people.connect(dora, 1)
    named = {"server_id": room.server_id, "user_id": dora.id}
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    await room.owner.call("add_ban", **named)
    assert (await refused(client.call("join_server", invite=invite["code"]))).reason == "not_found"
    assert (await refused(room.member.call("delete_ban", **named))).data["needs"] == "ban_members"
    for _ in range(2):
        assert await room.owner.call("delete_ban", **named) == {}
    assert (await client.call("join_server", invite=invite["code"]))["id"] == room.server_id
    assert not system.db.bans.count_documents({"server_id": room.server_id})
    nobody = room.owner.call("add_ban", server_id=room.server_id, user_id="0" * 24)
    assert (await refused(nobody)).reason == "not_found"


@pytest.mark.protocol("get_bans")
async def test_get_bans(people: People) -> None:
    room = await people.room()
    banned = await people.several(*["eve"] * 5)
    for number, person in enumerate(banned):
        await room.owner.call("add_ban", server_id=room.server_id, user_id=person.id, why=str(number))
    assert (await refused(room.member.call("get_bans", server_id=room.server_id, amount=1))).data["needs"]
    seen: list[str] = []
    anchor: str | None = None
    sizes = []
    while True:
        page = await room.owner.call("get_bans", server_id=room.server_id, amount=2, anchor=anchor)
        assert set(page) == {"rev", "full", "bans", "next_anchor"}
        sizes.append(len(page["bans"]))
        seen += [ban["why"] for ban in page["bans"]]
        if seen == ["4", "3"]:  # what is gone meanwhile leaves the rest in place
            await room.owner.call("delete_ban", server_id=room.server_id, user_id=banned[3].id)
        if (anchor := page["next_anchor"]) is None:
            break
    assert (seen, sizes) == (["4", "3", "2", "1", "0"], [2, 2, 1])
    for odd in ("x", "-1", "9" * 30, "٣"):
        call = room.owner.call("get_bans", server_id=room.server_id, amount=2, anchor=odd)
        assert (await refused(call)).fields == {"anchor"}


async def test_a_ban_and_a_join_at_once(system: System, people: People) -> None:
    """One of them comes first; in the end the banned is no member."""
    room = await people.room()
    for number in range(8):
        person = await people.register("eve")
        client = await people.connect(person, number % 2)
        invite = await room.owner.call("add_invite", server_id=room.server_id)
        await asyncio.gather(
            client.call("join_server", invite=invite["code"]),
            room.owner.call("add_ban", server_id=room.server_id, user_id=person.id),
            return_exceptions=True,
        )
        named = {"server_id": room.server_id, "user_id": person.id}
        assert (system.db.bans.count_documents(named), system.db.members.count_documents(named)) == (1, 0)
        await room.owner.call("delete_invite", server_id=room.server_id, code=invite["code"])
    assert (await room.owner.call("get_server", server_id=room.server_id))["num_members"] == 2


@pytest.mark.protocol("get_invites", "delete_invite")
async def test_get_and_delete_invites(system: System, people: People) -> None:
    room = await people.room()
    hers = await room.owner.call("add_invite", server_id=room.server_id, max_uses=1)
    his = await room.member.call("add_invite", server_id=room.server_id)
    listed = await room.owner.call("get_invites", server_id=room.server_id)
    assert set(listed) == {"rev", "full", "invites"}
    codes = {invite["code"]: invite for invite in listed["invites"]}
    assert (codes[hers["code"]], codes[his["code"]]) == (hers, his)
    refusal = await refused(room.member.call("get_invites", server_id=room.server_id))
    assert refusal.data["needs"] == "manage_server"

    dora = await people.connect(await people.anybody("dora"))
    await dora.call("join_server", invite=hers["code"])
    spent = await room.owner.call("get_invites", server_id=room.server_id)
    assert hers["code"] not in {invite["code"] for invite in spent["invites"]}
    more = await room.owner.call("add_invite", server_id=room.server_id)
    named = {"server_id": room.server_id, "code": more["code"]}
    assert (await refused(room.member.call("delete_invite", **named))).data["needs"] == "manage_server"
    assert await room.member.call("delete_invite", server_id=room.server_id, code=his["code"]) == {}
    for _ in range(2):
        assert await room.owner.call("delete_invite", **named) == {}
    eve = await people.connect(await people.anybody("eve"))
    for code in (his["code"], more["code"]):
        assert (await refused(eve.call("join_server", invite=code))).reason == "not_found"
    assert not system.db.invites.count_documents({"_id": {"$in": [his["code"], more["code"]]}})


async def test_an_invite_of_another_server_stays(people: People) -> None:
    room, other = await people.room(), await people.room()
    foreign = await other.owner.call("add_invite", server_id=other.server_id)
    assert await room.owner.call("delete_invite", server_id=room.server_id, code=foreign["code"]) == {}
    assert (await (await people.open()).call("get_server", invite=foreign["code"]))["id"] == other.server_id


@pytest.mark.protocol("update_server", "server_updated")
async def test_update_server(system: System, people: People, web: Web) -> None:
    room = await people.room()
    changes = {"name": "Coffee house", "description": "Hot", "image": await web.upload(saved(flag(64, 64), "PNG"))}
    changed = await room.owner.call("update_server", server_id=room.server_id, changes=changes)
    assert {name: changed[name] for name in changes} == changes
    assert changed["me"] == (await room.owner.call("get_server", server_id=room.server_id))["me"]
    heard = await room.member.event("server_updated", server_id=room.server_id)
    assert (heard.scope, heard.rev) == (f"server:{room.server_id}", changed["rev"])
    assert heard.params["changes"] == changes
    assert heard.params["was"] < heard.rev
    stored = system.db.servers.find_one({"_id": room.server_id}) or {}
    assert {name: stored[name] for name in ("name", "rev")} == {"name": "Coffee house", "rev": heard.rev}
    assert stored["perm_rev"] < heard.rev
    cleared = await room.owner.call(
        "update_server", server_id=room.server_id, changes={"name": "Coffee house", "description": None}
    )
    (told,) = entry(system, f"server:{room.server_id}", cleared["rev"])
    assert (told["params"]["changes"], told["params"]["was"]) == ({"description": None}, heard.rev)
    same = await room.owner.call("update_server", server_id=room.server_id, changes={"description": None})
    assert same["rev"] == cleared["rev"]
    delta = await room.member.call("get_server", server_id=room.server_id, since=heard.rev)
    assert (delta["full"], delta["updated"][0]["description"]) == (False, None)
    listed = await room.member.call("get_servers")
    assert next(each for each in listed["servers"] if each["id"] == room.server_id)["name"] == "Coffee house"
    await assert_dense(system, f"server:{room.server_id}", cleared["rev"])


async def test_update_server_is_for_who_may(people: People) -> None:
    room = await people.room()
    named = {"server_id": room.server_id}
    refusal = await refused(room.member.call("update_server", **named, changes={"name": "x"}))
    assert refusal.data["needs"] == "manage_server"
    await promote(room, "manage_server")
    changed = await room.member.call("update_server", **named, changes={"name": "x"})
    stale = room.member.call("update_server", **named, changes={"name": "y"}, if_rev=changed["rev"] - 1)
    assert (await refused(stale)).data["rev"] == changed["rev"]
    await promote(room, "administrator")
    handed = room.member.call("update_server", **named, changes={"owner_id": room.member_is.id})
    assert (await refused(handed)).code == 4030
    for nobody in ("0" * 24, (await people.anybody("eve")).id):
        call = room.owner.call("update_server", **named, changes={"owner_id": nobody})
        assert (await refused(call)).reason == "not_found"


async def test_handing_a_server_over(system: System, people: People) -> None:
    room = await people.room()
    named = {"server_id": room.server_id}
    changed = await room.owner.call("update_server", **named, changes={"owner_id": room.member_is.id})
    assert changed["owner_id"] == room.member_is.id
    heard = await room.member.event("server_updated", rev=changed["rev"])
    assert heard.params["changes"] == {"owner_id": room.member_is.id}
    assert perm_rev(system, room.server_id) == changed["rev"]
    assert (await refused(room.owner.call("update_server", **named, changes={"name": "x"}))).code == 4030
    assert (await refused(room.owner.call("delete_server", **named))).code == 4030
    assert (await refused(room.member.call("leave_server", **named))).reason == "conflict"
    assert await room.owner.call("leave_server", **named) == {}
    assert (await room.member.call("update_server", **named, changes={"name": "x"}))["name"] == "x"


@pytest.mark.protocol("delete_server", "server_deleted")
async def test_delete_server(system: System, people: People) -> None:
    """Gone at once for everybody; all that hung off it follows."""
    room = await people.room()
    carl, carl_is = await third(people, room)
    await promote(room, "administrator")
    await room.owner.call("add_category", server_id=room.server_id, name="x")
    await room.owner.call("add_ban", server_id=room.server_id, user_id=(await people.anybody("eve")).id)
    invite = await room.member.call("add_invite", server_id=room.server_id)
    await room.member.call("add_message", channel_id=room.channel_id, content="x")
    named = {"server_id": room.server_id}
    assert (await refused(room.member.call("delete_server", **named))).code == 4030
    eve = await people.connect(await people.anybody("eve"), 1)
    assert (await refused(eve.call("delete_server", **named))).reason == "not_found"

    assert await room.owner.call("delete_server", **named) == {}
    for client in (room.owner, room.member, carl):
        for method, params in (
            ("get_server", named),
            ("get_server_channels", named),
            ("get_server_channel", {"channel_id": room.channel_id}),
            ("add_message", {"channel_id": room.channel_id, "content": "late"}),
            ("get_message_chunk", {"channel_id": room.channel_id, "amount": 1, "anchor": 0, "direction": False}),
        ):
            assert (await refused(client.call(method, **params))).reason == "not_found"
        assert room.server_id not in {each["id"] for each in (await client.call("get_servers"))["servers"]}
    assert (await refused(eve.call("get_server", invite=invite["code"]))).reason == "not_found"
    assert (await refused(eve.call("join_server", invite=invite["code"]))).reason == "not_found"

    for client, person in ((room.owner, room.owner_is), (room.member, room.member_is), (carl, carl_is)):
        heard = await client.event("server_deleted", server_id=room.server_id)
        assert (heard.scope, heard.params["why"]) == (f"self:{person.id}", "deleted")
        await assert_dense(system, f"self:{person.id}")
    await eventually(lambda: nothing_left(system, room), "all of it is gone")
    assert await room.owner.call("delete_server", **named) == {}
    for client in (room.member, eve):
        assert (await refused(client.call("delete_server", **named))).reason == "not_found"
    newcomer = await people.connect(room.member_is, 0)
    assert room.server_id not in {each["id"] for each in (await newcomer.call("get_servers"))["servers"]}


async def test_a_deleted_server_is_nobodys_before_it_is_cleared_away(system: System, people: People) -> None:
    """As one finds it between the deletion and what follows."""
    person = await people.register("late")
    row: dict[str, Any] = {"server_id": f"gone.{person.id}", "user_id": person.id, "roles": [], "nick": None, "rev": 1}
    system.db.members.insert_one(row)
    client = await people.open()
    opened = await client.call("authenticate", token=person.token)
    assert list(opened["current"]) == [f"self:{person.id}"]
    assert (await client.call("get_servers"))["servers"] == []
    resumed = await client.call("resume", scopes={f"server:{row['server_id']}": 1})
    assert resumed["gone"] == [f"server:{row['server_id']}"]


def nothing_left(system: System, room: Room) -> bool:
    names = ("members", "roles", "channels", "categories", "invites", "bans", "reading_starts")
    left = {name: system.db[name].count_documents({"server_id": room.server_id}) for name in names}
    left["messages"] = system.db.messages.count_documents({"channel_id": room.channel_id})
    left["cascades"] = system.db.cascades.count_documents({})
    return not any(left.values())
