"""Coming back to a cache: `since` in its three forms, and `resume` on any gateway."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.client import Client
from tests.rig import People, Person, Room, System, eventually, refused

QUIET = {"full": False, "updated": [], "deleted": []}


async def positions_of(client: Client, room: Room, person: Person) -> dict[str, int]:
    """Where a client stands that has just loaded everything of a room."""
    servers = await client.call("get_servers")
    server = await client.call("get_server", server_id=room.server_id)
    page = await client.call("get_message_chunk", channel_id=room.channel_id, amount=100, anchor=0, direction=False)
    users = {f"user:{user['id']}": user["rev"] for user in page["users"]}
    return {
        f"self:{person.id}": servers["rev"],
        f"server:{room.server_id}": server["rev"],
        f"channel:{room.channel_id}": page["rev"],
        **users,
    }


async def back(
    people: People, person: Person, gateway: int, resume: dict[str, int], **params: object
) -> tuple[Client, dict[str, Any]]:
    client = await people.open(gateway)
    reply = await client.call("authenticate", token=person.token, resume=resume, **params)
    return client, reply


# since


async def test_a_since_at_the_head_changes_nothing(people: People) -> None:
    room = await people.room(new=True)
    await room.owner.call("add_message", channel_id=room.channel_id, content="hello")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_servers", {}),
        ("get_server", {"server_id": room.server_id}),
        ("get_server_channels", {"server_id": room.server_id}),
        ("get_server_members", {"server_id": room.server_id, "amount": 10}),
        ("get_message_chunk", {"channel_id": room.channel_id, "amount": 10, "anchor": 0, "direction": True}),
        ("get_user", {"user_id": room.owner_is.id}),
    ]
    for method, params in calls:
        full = await room.member.call(method, **params)
        same = await room.member.call(method, **params, since=full["rev"])
        assert QUIET.items() <= same.items(), method
        assert same["rev"] == full["rev"]


@pytest.mark.protocol("get_message_chunk", "get_server_channels")
async def test_a_since_names_what_came_and_what_went(people: People) -> None:
    room = await people.room(new=True)
    add = [await room.owner.call("add_message", channel_id=room.channel_id, content=text) for text in ("a", "b", "c")]
    page = {"channel_id": room.channel_id, "amount": 10, "anchor": 0, "direction": True}
    before = await room.member.call("get_message_chunk", **page)
    channels = await room.member.call("get_server_channels", server_id=room.server_id)
    await room.owner.call("update_message", channel_id=room.channel_id, message_id=add[0]["id"], content="A")
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=add[1]["id"])
    new = await room.owner.call("add_message", channel_id=room.channel_id, content="d")
    made = await room.owner.call("add_channel", server_id=room.server_id, name="made")

    delta = await room.member.call("get_message_chunk", **page, since=before["rev"])
    assert [message["content"] for message in delta["updated"]] == ["A", "d"]
    assert delta["deleted"] == [add[1]["id"]]
    assert delta["rev"] == new["rev"]
    places = await room.member.call("get_server_channels", server_id=room.server_id, since=channels["rev"])
    assert [channel["id"] for channel in places["updated"]] == [made["id"]]
    assert (places["deleted"], places["categories"]) == ([], [])


@pytest.mark.protocol("get_servers")
async def test_a_since_of_servers_names_those_joined_and_left(people: People) -> None:
    room = await people.room(new=True)
    before = await room.member.call("get_servers")
    own = await room.member.call("add_server", name="Own")
    await room.member.call("leave_server", server_id=room.server_id)
    delta = await room.member.call("get_servers", since=before["rev"])
    assert [server["id"] for server in delta["updated"]] == [own["id"]]
    assert delta["deleted"] == [room.server_id]


async def test_what_cannot_be_proved_is_answered_in_full(system: System, people: People) -> None:
    room = await people.room(new=True)
    page = {"channel_id": room.channel_id, "amount": 5, "anchor": 0, "direction": True}
    first = await room.owner.call("get_message_chunk", **page)
    await asyncio.gather(
        *(room.owner.call("add_message", channel_id=room.channel_id, content=str(each)) for each in range(101))
    )
    many = await room.owner.call("get_message_chunk", **page, since=first["rev"])
    assert (many["full"], len(many["messages"])) == (True, 5)
    ahead = await room.owner.call("get_message_chunk", **page, since=many["rev"] + 7)
    assert ahead["full"] is True
    system.db.journal.delete_many({"scope": f"channel:{room.channel_id}", "rev": {"$lt": 60}})
    pruned = await room.owner.call("get_message_chunk", **page, since=50)
    assert pruned["full"] is True
    kept = await room.owner.call("get_message_chunk", **page, since=60)
    assert len(kept["updated"]) == 41


async def test_whoever_left_and_came_back_gets_no_delta(people: People) -> None:
    room = await people.room(new=True)
    before = await room.member.call("get_server_channels", server_id=room.server_id)
    await room.member.call("leave_server", server_id=room.server_id)
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    await room.member.call("join_server", invite=invite["code"])
    again = await room.member.call("get_server_channels", server_id=room.server_id, since=before["rev"])
    assert again["full"] is True


# resume


async def test_an_unchanged_cache_is_current(people: People) -> None:
    room = await people.room(new=True)
    await room.owner.call("add_message", channel_id=room.channel_id, content="hello")
    known = await positions_of(room.member, room, room.member_is)
    client, reply = await back(people, room.member_is, 0, known)
    assert reply["current"] == known
    assert reply["stale"] == reply["gone"] == []
    await client.event("resumed")
    assert [event.method for event in client.events] == ["resumed"]


@pytest.mark.protocol("authenticate", "resumed")
async def test_what_was_missed_is_told_in_order_before_resumed(people: People) -> None:
    room = await people.room(new=True)
    await room.owner.call("add_message", channel_id=room.channel_id, content="known")
    known = await positions_of(room.member, room, room.member_is)
    await room.member.close()
    for text in ("one", "two"):
        await room.owner.call("add_message", channel_id=room.channel_id, content=text)
    made = await room.owner.call("add_channel", server_id=room.server_id, name="made meanwhile")
    await room.owner.call("add_message", channel_id=made["id"], content="in the new one")
    channel, expected = f"channel:{room.channel_id}", ["one", "two"]
    for gateway in (0, 1):
        client, reply = await back(people, room.member_is, gateway, known)
        assert set(reply["current"]) == set(known)
        await client.event("resumed")
        assert list(client.events)[-1].method == "resumed"
        told = client.heard("message_added", scope=channel)
        assert [event.params["message"]["content"] for event in told] == expected
        (added,) = client.heard("channel_added", scope=f"server:{room.server_id}")
        # It comes into sight as it is now: what it holds is there to be read, what follows is told.
        assert (added.params["at"], added.params["channel"]["last_message_id"]) == (1, 1)
        await room.owner.call("add_message", channel_id=room.channel_id, content=f"live {gateway}")
        await client.event("message_added", scope=channel, rev=reply["current"][channel] + 1)
        expected.append(f"live {gateway}")


async def test_a_server_left_is_gone_and_one_rejoined_is_stale(people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    own_scope, server, channel = f"self:{room.member_is.id}", f"server:{room.server_id}", f"channel:{room.channel_id}"
    await room.member.call("leave_server", server_id=room.server_id)
    _, left = await back(people, room.member_is, 1, known)
    assert sorted(left["gone"]) == sorted([server, channel])
    assert own_scope in left["current"]
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    await room.member.call("join_server", invite=invite["code"])
    client, rejoined = await back(people, room.member_is, 1, known)
    assert {server, channel, own_scope} <= set(rejoined["stale"])
    await room.owner.call("add_message", channel_id=room.channel_id, content="heard all the same")
    await client.event("message_added", scope=channel)


async def test_nonsense_positions_are_gone_or_stale_and_harm_nobody(people: People) -> None:
    room = await people.room(new=True)
    stranger = await people.anybody("eve")
    claims = {
        f"server:{room.server_id}": 1,
        f"channel:{room.channel_id}": 1,
        f"self:{room.owner_is.id}": 0,
        "user:nobody": 1,
        "planet:mars": 1,
        "": 1,
        f"user:{room.owner_is.id}": 2**50,
    }
    client, reply = await back(people, stranger, 0, claims)
    assert reply["stale"] == [f"user:{room.owner_is.id}"]
    assert set(reply["gone"]) == set(claims) - set(reply["stale"])
    assert reply["current"] == {}
    await room.owner.call("update_user", changes={"display_name": "Still heard"})
    assert (await client.call("get_user", user_id=room.owner_is.id))["display_name"] == "Still heard"


async def test_who_claims_more_of_itself_than_there_is_has_to_ask_for_all_that_it_may_have(people: People) -> None:
    """It might be right, and what is known here a moment old: then a server dropped would never come again."""
    room = await people.room(new=True)
    stranger = await people.anybody("eve")
    mine, server, channel = f"self:{stranger.id}", f"server:{room.server_id}", f"channel:{room.channel_id}"
    client, reply = await back(people, stranger, 0, {mine: 2**50, server: 1, channel: 1, "user:nobody": 1})
    assert (set(reply["stale"]), reply["gone"], reply["current"]) == ({mine, server, channel}, ["user:nobody"], {})
    assert (await refused(client.call("get_server", server_id=room.server_id, since=1))).reason == "not_found"


async def test_too_much_missed_is_stale(people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    add = (room.owner.call("add_message", channel_id=room.channel_id, content=str(each)) for each in range(201))
    await asyncio.gather(*add)
    client, reply = await back(people, room.member_is, 1, known)
    assert reply["stale"] == [f"channel:{room.channel_id}"]
    await client.event("resumed")
    assert not client.heard("message_added")


@pytest.mark.protocol("resume")
async def test_the_rest_of_a_large_cache_comes_by_resume(people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    await room.member.close()
    await room.owner.call("add_message", channel_id=room.channel_id, content="missed")
    channel = f"channel:{room.channel_id}"
    client, first = await back(people, room.member_is, 1, {name: rev for name, rev in known.items() if name != channel})
    assert channel not in {*first["current"], *first["stale"]}
    rest = await client.call("resume", scopes={channel: known[channel]})
    assert rest["current"] == {channel: known[channel] + 1}
    heard = await client.event("message_added", scope=channel)
    assert heard.params["message"]["content"] == "missed"
    assert len(client.heard("message_added")) == 1


# members and users


@pytest.mark.protocol("get_server_members", "member_added", "member_deleted")
async def test_members_come_in_pages_and_then_by_events(people: People) -> None:
    room = await people.room(new=True)
    first = await room.owner.call("get_server_members", server_id=room.server_id, amount=1)
    rest = await room.owner.call("get_server_members", server_id=room.server_id, amount=5, anchor=first["next_anchor"])
    shown = [member["user"]["display_name"] for member in [*first["members"], *rest["members"]]]
    assert shown == sorted(shown, key=str.lower)
    assert len(shown) == first["total"] == 2
    assert rest["next_anchor"] is None
    invite = await room.owner.call("add_invite", server_id=room.server_id)
    eve = await people.connect(await people.anybody("eve"), 1)
    await eve.call("join_server", invite=invite["code"])
    joined = await room.owner.event("member_added", scope=f"server:{room.server_id}")
    assert not room.member.heard("member_added")
    delta = await room.owner.call("get_server_members", server_id=room.server_id, amount=5, since=first["rev"])
    assert [member["user"]["id"] for member in delta["updated"]] == [joined.params["member"]["user"]["id"]]
    await eve.call("leave_server", server_id=room.server_id)
    await room.owner.event("member_deleted", scope=f"server:{room.server_id}")


async def test_a_made_up_anchor_is_refused(people: People) -> None:
    room = await people.room()
    for anchor in ("x", "bnVsbA==", "WzEsMl0=", "é"):
        call = room.owner.call("get_server_members", server_id=room.server_id, amount=1, anchor=anchor)
        assert (await refused(call)).fields == {"anchor"}


@pytest.mark.protocol("update_user", "user_changed")
async def test_a_change_of_a_user_reaches_those_who_were_handed_them_and_no_others(people: People) -> None:
    room = await people.room(new=True)
    stranger = await people.connect(await people.anybody("eve"), 1)
    before = await room.member.call("get_user", user_id=room.owner_is.id)
    changes = {"display_name": "Zoë the first", "status_text": "back at noon"}
    changed = await room.owner.call("update_user", changes=changes)
    heard = await room.member.event("user_changed", user_id=room.owner_is.id)
    assert heard.params["changes"] == changes
    assert (heard.params["was"], heard.rev) == (before["rev"], changed["rev"])
    await room.owner.event("user_changed", user_id=room.owner_is.id)
    assert not stranger.heard("user_changed")
    members = await room.member.call("get_server_members", server_id=room.server_id, amount=5)
    assert members["members"][-1]["user"]["display_name"] == "Zoë the first"
    await room.owner.call("update_user", changes={"status_text": None})
    again = await room.member.event("user_changed", user_id=room.owner_is.id, was=changed["rev"])
    assert again.params["changes"] == {"status_text": None}


@pytest.mark.protocol("get_users")
async def test_get_users_brings_those_that_are_newer(people: People) -> None:
    room = await people.room(new=True)
    me = await room.owner.call("get_user")
    asked = {room.owner_is.id: me["rev"], room.member_is.id: 0, "nobody": 0}
    found = await room.owner.call("get_users", users=asked)
    assert [user["id"] for user in found["users"]] == [room.member_is.id]
    await room.member.call("update_user", changes={"status_text": "hm"})
    await room.owner.event("user_changed", user_id=room.member_is.id)


@pytest.mark.protocol("forget")
async def test_a_forgotten_user_is_not_heard_of(people: People) -> None:
    room = await people.room(new=True)
    await room.member.call("get_user", user_id=room.owner_is.id)
    await room.member.call("forget", scopes=[f"user:{room.owner_is.id}"])
    await room.owner.call("update_user", changes={"status_text": "unheard"})
    await room.owner.event("user_changed", user_id=room.owner_is.id)
    await room.owner.call("add_message", channel_id=room.channel_id, content="after it")
    await room.member.event("message_added", scope=f"channel:{room.channel_id}")
    assert not room.member.heard("user_changed")


@pytest.mark.protocol("forgotten")
async def test_those_who_were_shown_longest_ago_are_forgotten(make_system: Callable[..., System]) -> None:
    system = make_system(env={"gateway": {"USERS_PER_CONNECTION": "2"}})
    await asyncio.to_thread(system.start)
    people = People(system)
    ann, bob, eve = await people.several("ann", "bob", "eve")
    client = await people.connect(ann, 0)
    for each in (bob, eve):
        await client.call("get_user", user_id=each.id)
    told = await client.event("forgotten")
    assert told.params == {"scopes": [f"user:{ann.id}"]}
    await client.call("get_user", user_id=ann.id)
    await client.event("forgotten", scopes=[f"user:{bob.id}"])
    for each in (bob, eve):
        await (await people.connect(each, 1)).call("update_user", changes={"status_text": "here"})
    await client.event("user_changed", user_id=eve.id)
    assert not client.heard("user_changed", user_id=bob.id)
    await people.close()


# sessions


@pytest.mark.protocol("get_sessions", "delete_session")
async def test_a_session_can_be_ended_from_another(people: People) -> None:
    person = await people.register("two.devices")
    here = await people.connect(person, 0)
    login = await here.call("login", name=person.name, password=person.password, device="tablet")
    there = await people.open(1)
    opened = await there.call("authenticate", token=login["token"])
    listed = (await here.call("get_sessions"))["sessions"]
    assert {session["id"]: session["current"] for session in listed}[opened["session_id"]] is False
    assert sum(session["current"] for session in listed) == 1
    await here.call("delete_session", session_id=opened["session_id"])
    assert await there.closed() == 4002
    assert await here.call("delete_session", session_id=opened["session_id"]) == {}
    await eventually(lambda: here.close_code is None, "the other stays")
    stranger = await people.connect(await people.anybody("eve"))
    own = next(session["id"] for session in listed if session["current"])
    assert await stranger.call("delete_session", session_id=own) == {}
    assert len((await here.call("get_sessions"))["sessions"]) == len(listed) - 1


async def test_the_rest_of_a_cache_may_be_sent_without_waiting(people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    await room.member.close()
    for number in range(3):
        await room.owner.call("add_channel", server_id=room.server_id, name=f"missed {number}")
        await room.owner.call("add_message", channel_id=room.channel_id, content=f"missed {number}")
    channel = f"channel:{room.channel_id}"
    first = {name: rev for name, rev in known.items() if name != channel}
    for gateway in (0, 1):
        client = await people.open(gateway)
        await client.send("authenticate", token=room.member_is.token, resume=first)
        rest = await client.call("resume", scopes={channel: known[channel]})
        assert rest["current"] == {channel: known[channel] + 3}
        await client.event("message_added", scope=channel, rev=3)
        assert [event.rev for event in client.heard("message_added", scope=channel)] == [1, 2, 3]


async def test_a_server_is_not_taken_back_later_on(people: People) -> None:
    """Behind in the server but in its channels it would hear what it may have lost."""
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    await room.owner.call("add_channel", server_id=room.server_id, name="missed")
    server = f"server:{room.server_id}"
    client, _ = await back(people, room.member_is, 1, {})
    rest = await client.call("resume", scopes={server: known[server]})
    assert (rest["current"], rest["stale"]) == ({}, [server])


async def test_a_message_deleted_meanwhile_is_not_told(people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    secret = await room.owner.call("add_message", channel_id=room.channel_id, content="a secret")
    await room.owner.call("update_message", channel_id=room.channel_id, message_id=secret["id"], content="secret too")
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=secret["id"])
    await room.owner.call("add_message", channel_id=room.channel_id, content="kept")
    client, _ = await back(people, room.member_is, 0, known)
    await client.event("resumed")
    assert [event.method for event in client.events] == ["message_deleted", "message_added", "resumed"]


async def test_who_vanishes_while_coming_back_leaves_nothing_behind(system: System, people: People) -> None:
    room = await people.room(new=True)
    known = await positions_of(room.member, room, room.member_is)
    for number in range(3):
        await room.owner.call("add_channel", server_id=room.server_id, name=f"missed {number}")
    await room.member.close()

    def measured(metric: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.processes['gateway-1'].admin_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(metric))

    before = measured("guildwire_gateway_connections")
    for client in await asyncio.gather(*(people.open(1) for _ in range(20))):
        await client.send("authenticate", token=room.member_is.token, resume=known)
        client.abort()
    await eventually(lambda: measured("guildwire_gateway_connections") == before, "the gateway has noticed", 15)
    await eventually(lambda: measured("guildwire_gateway_catching_up") == 0, "nobody is catching up any more")
    assert measured("guildwire_gateway_connections") == before


async def test_ending_ones_own_session_is_answered_first(people: People) -> None:
    client = await people.open()
    opened = await client.call("register", name="ends.itself", password="ends itself")
    session = (await client.call("authenticate", token=opened["token"]))["session_id"]
    assert await client.call("delete_session", session_id=session) == {}
    assert await client.closed() == 4002


async def test_joining_twice_succeeds_though_the_invite_is_spent(people: People) -> None:
    room = await people.room()
    invite = await room.owner.call("add_invite", server_id=room.server_id, max_uses=1)
    eve = await people.connect(await people.register("eve"))
    first = await eve.call("join_server", invite=invite["code"])
    again = await eve.call("join_server", invite=invite["code"])
    assert again["id"] == first["id"]
    other = await people.connect(await people.register("other"))
    assert (await refused(other.call("join_server", invite=invite["code"]))).reason == "not_found"


async def test_a_since_does_not_mix_up_whose_servers_are_asked_for(people: People) -> None:
    room = await people.room(new=True)
    await room.member.call("add_server", name="Not shared")
    shared = await room.member.call("get_servers", user_id=room.owner_is.id, since=0)
    assert [server["id"] for server in shared["servers"]] == [room.server_id]


async def test_odd_params_are_invalid_and_no_bug(people: People) -> None:
    room = await people.room()
    odds: list[Any] = [[], {}, [[]], 1, None]
    for odd in odds:
        call = room.owner.call("get_server_members", server_id=odd, amount=1)
        assert (await refused(call)).code == -32602
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    assert (await refused(room.owner.call("get_user", user_id=deep))).code == -32602
