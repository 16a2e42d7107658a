"""The list of members: its order, its filters, its pages, and what they cost in a large server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.member_names import named
from tests.client import Client
from tests.rig import People, Room, System, join, promote, refused

pytestmark = pytest.mark.protocol("get_server_members")


async def page(client: Client, server_id: str, amount: int = 100, anchor: str | None = None, **wanted: Any) -> Any:
    params = {"server_id": server_id, "amount": amount, "anchor": anchor, "filter": wanted or None}
    return await client.call("get_server_members", **params)


async def names(client: Client, server_id: str, amount: int = 2, **wanted: Any) -> list[str]:
    """The names of all pages together, in order; nicks where there are."""
    found: list[str] = []
    anchor: str | None = None
    for _ in range(100):
        shown = await page(client, server_id, amount, anchor, **wanted)
        assert len(shown["members"]) <= amount
        found += [member["nick"] or member["user"]["display_name"] for member in shown["members"]]
        if (anchor := shown["next_anchor"]) is None:
            return found
    raise AssertionError("it never ends")


async def crowd(people: People, room: Room, *display_names: str) -> list[Client]:
    """New members with these names."""
    everybody = await people.several(*(re.sub("[^a-z]", "", name.lower()) for name in display_names))
    clients = [await people.connect(person) for person in everybody]
    await asyncio.gather(
        *(
            client.call("update_user", changes={"display_name": name})
            for client, name in zip(clients, display_names, strict=True)
        )
    )
    for client in clients:
        await join(room.owner, client, room.server_id)
    await room.owner.call("update_user", changes={"display_name": "Ann"})
    await room.member.call("update_user", changes={"display_name": "bob"})
    return clients


async def user_id(client: Client) -> str:
    return str((await client.call("get_user"))["id"])


async def nick(client: Client, room: Room, name: str | None) -> None:
    mine = {"server_id": room.server_id, "user_id": await user_id(client)}
    await client.call("update_member", **mine, changes={"nick": name})


async def test_in_the_order_of_shown_names(people: People) -> None:
    """Whatever case; a rename moves, unless a nick is shown; of equals the lower id comes first."""
    room = await people.room(new=True)
    carl, adam, zoe = await crowd(people, room, "Carl", "adam", "Zoe")
    assert await names(room.member, room.server_id) == ["adam", "Ann", "bob", "Carl", "Zoe"]
    await zoe.call("update_user", changes={"display_name": "aaa"})
    await nick(carl, room, "Zed")
    assert await names(room.member, room.server_id) == ["aaa", "adam", "Ann", "bob", "Zed"]
    await carl.call("update_user", changes={"display_name": "aa"})
    assert await names(room.member, room.server_id) == ["aaa", "adam", "Ann", "bob", "Zed"]
    await nick(carl, room, None)
    assert await names(room.member, room.server_id) == ["aa", "aaa", "adam", "Ann", "bob"]
    for client in (adam, zoe, carl):
        await client.call("update_user", changes={"display_name": "Same"})
    shown = [member["user"]["id"] for member in (await page(room.member, room.server_id))["members"]]
    assert shown[2:] == sorted(shown[2:])
    assert await names(room.member, room.server_id, 1) == ["Ann", "bob", "Same", "Same", "Same"]
    assert (await page(room.member, room.server_id, 1))["total"] == 5


async def test_by_the_beginning_of_any_name(people: People) -> None:
    room = await people.room(new=True)
    carl, carla, _ = await crowd(people, room, "Carl", "Carlotta von Hohenfels", "$set")
    server_id = room.server_id
    assert await names(room.owner, server_id, name="car") == ["Carl", "Carlotta von Hohenfels"]
    assert await names(room.owner, server_id, name="CARLOTTA VON H") == ["Carlotta von Hohenfels"]
    assert await names(room.owner, server_id, name="carlotta von x") == []
    assert await names(room.owner, server_id, name="$s") == ["$set"]
    assert await names(room.owner, server_id, name=".*") == []
    await nick(carl, room, "Nickname beyond eight")
    assert await names(room.owner, server_id, name="nickname b") == ["Nickname beyond eight"]
    assert await names(room.owner, server_id, name="carl") == ["Carlotta von Hohenfels", "Nickname beyond eight"]
    # A rename takes the old name away, and leaves the nick and the account's name.
    await carl.call("update_user", changes={"display_name": "$nick"})
    assert await names(room.owner, server_id, name="nickn") == ["Nickname beyond eight"]
    assert await names(room.owner, server_id, name="$nick") == ["Nickname beyond eight"]
    await carla.call("update_user", changes={"display_name": "Eva"})
    assert await names(room.owner, server_id, name="carlotta v") == []
    assert await names(room.owner, server_id, name="carlottavonh") == ["Eva"]
    await nick(carl, room, None)
    assert await names(room.owner, server_id, name="nick") == []


async def test_by_role_channel_and_ids(people: People) -> None:
    """Filters are ANDed, and a page of a filtered list leads to the next."""
    room = await people.room(new=True)
    carl, dora, eric = await crowd(people, room, "Carl", "Dora", "Eric")
    server_id = room.server_id
    role = await promote(room, "kick_members")
    ids = [await user_id(client) for client in (carl, dora, eric)]
    for known in ids[1:]:
        await room.owner.call("update_member", server_id=server_id, user_id=known, changes={"roles": [role["id"]]})
    assert await names(room.owner, server_id, 1, role_id=role["id"]) == ["bob", "Dora", "Eric"]
    assert await names(room.owner, server_id, 1, role_id=role["id"], name="d") == ["Dora"]
    listed = await room.owner.call("get_server_roles", server_id=server_id)
    everyone = next(each["id"] for each in listed["roles"] if each["name"] == "everyone")
    assert await names(room.owner, server_id, role_id=everyone) == ["Ann", "bob", "Carl", "Dora", "Eric"]
    assert await names(room.owner, server_id, 1, user_ids=[*ids[:2], "0" * 24]) == ["Carl", "Dora"]
    assert await names(room.owner, server_id, 1, user_ids=ids, role_id=role["id"], name="e") == ["Eric"]
    assert await names(room.owner, server_id, user_ids=[]) == []

    roles = [
        {"role_id": everyone, "allow": [], "deny": ["view_channel"]},
        {"role_id": role["id"], "allow": ["view_channel"], "deny": []},
    ]
    closed = await room.owner.call("add_channel", server_id=server_id, name="closed", roles=roles)
    assert await names(room.owner, server_id, 1, channel_id=closed["id"]) == ["Ann", "bob", "Dora", "Eric"]
    assert await names(dora, server_id, 1, channel_id=closed["id"], name="e") == ["Eric"]
    other = await people.room()
    foreign = await promote(other)
    for refusal in (
        await refused(page(carl, server_id, channel_id=closed["id"])),
        await refused(page(other.owner, other.server_id, channel_id=closed["id"])),
        await refused(page(room.owner, server_id, channel_id="0" * 24)),
        await refused(page(room.owner, server_id, role_id="0" * 24)),
        await refused(page(room.owner, server_id, role_id=foreign["id"])),
    ):
        assert refusal.reason == "not_found"
    await room.owner.call("delete_role", server_id=server_id, role_id=role["id"])
    assert (await refused(page(room.owner, server_id, role_id=role["id"]))).reason == "not_found"
    assert await names(room.owner, server_id, channel_id=closed["id"]) == ["Ann"]


async def test_friends_and_who_is_online(system: System, people: People) -> None:
    room = await people.room(new=True)
    carl, _ = await crowd(people, room, "Carl", "Dora")
    friend = {"user_id": room.owner_is.id, "other_id": await user_id(carl), "state": "friend"}
    asked = {"user_id": room.owner_is.id, "other_id": room.member_is.id, "state": "incoming"}
    system.db.friends.insert_many([friend, asked])
    assert await names(room.owner, room.server_id, friends=True) == ["Carl"]
    assert await names(room.owner, room.server_id, friends=False) == ["Ann", "bob", "Dora"]
    assert await names(room.owner, room.server_id, friends=True, name="d") == []
    assert await names(carl, room.server_id, friends=True) == []
    everybody = await names(room.owner, room.server_id)
    online = await names(room.owner, room.server_id, online=True)
    offline = await names(room.owner, room.server_id, online=False)
    assert "Ann" in online
    assert sorted(online + offline) == sorted(everybody)


async def test_a_filtered_list_is_whole_whatever_changed(people: People) -> None:
    """What a filter lets through, entries don't tell: there is no delta of it."""
    room = await people.room()
    known = await page(room.owner, room.server_id)
    params = {"server_id": room.server_id, "amount": 10, "since": known["rev"]}
    assert (await room.owner.call("get_server_members", **params))["full"] is False
    assert (await room.owner.call("get_server_members", **params, filter={"online": True}))["full"] is True


async def test_odd_anchors_are_refused(people: People) -> None:
    room = await people.room()
    for odd in ("x", "W10=", "e30=", "WzEsMl0=", "\x00", "ünï", "WyJhIl0="):
        assert (await refused(page(room.owner, room.server_id, anchor=odd))).fields == {"anchor"}


def decorated(system: System, room: Room, number: int) -> list[str]:
    """Members with 249 roles each; their ids in the order of the list, after all others."""
    roles = [f"{room.server_id}{role:03}" for role in range(249)]
    fields = {"server_id": room.server_id, "name": "x", "color": "", "rules": [], "position": 1, "rev": 1}
    system.db.roles.insert_many({**fields, "_id": role_id} for role_id in roles)
    ids = [f"{room.server_id}-{each:03}" for each in range(number)]
    user = {"display_name": "zz", "image": None, "status": "online", "status_text": None, "rev": 1}
    system.db.users.insert_many({**user, "_id": each, "name": each} for each in ids)
    joined = (system.db.members.find_one({"server_id": room.server_id}) or {})["joined_date"]
    member = {"server_id": room.server_id, "roles": roles, "joined_date": joined, "rev": 1}
    system.db.members.insert_many({**member, **named(None, each, "zz"), "user_id": each} for each in ids)
    return ids


async def test_a_page_is_never_too_large_for_a_reply(system: System, people: People) -> None:
    room = await people.room()
    since = (await page(room.owner, room.server_id))["rev"]
    ids = decorated(system, room, 100)
    found: list[str] = []
    anchor, pages = None, 0
    while anchor is not None or not pages:
        shown = await page(room.owner, room.server_id, 100, anchor)
        found += [member["user"]["id"] for member in shown["members"]]
        anchor, pages = shown["next_anchor"], pages + 1
    assert found[2:] == ids
    assert pages == 2
    calls = [
        room.owner.call("update_member", server_id=room.server_id, user_id=each, changes={"nick": "zz"}) for each in ids
    ]
    await asyncio.gather(*calls)
    again = await room.owner.call("get_server_members", server_id=room.server_id, amount=100, since=since)
    assert (again["full"], len(again["members"]) < 100) == (True, True)


LARGE = 100_000


@contextmanager
def examined(system: System) -> Iterator[list[int]]:
    """The index keys that each query of members examined meanwhile, as mongod itself counted them."""
    keys: list[int] = []
    system.db.command("profile", 2)
    try:
        yield keys
    finally:
        system.db.command("profile", 0)
        seen = system.db["system.profile"].find({"ns": f"{system.database}.members", "command.sort": {"$exists": 1}})
        keys += [query["keysExamined"] for query in seen]
        system.db["system.profile"].drop()


def populate(system: System, server_id: str, role_id: str) -> None:
    """A hundred thousand members: few different names, and every thousandth has the role."""
    for start in range(0, LARGE, 10_000):
        numbers = range(start, start + 10_000)
        shown = {number: ("Maria", "Mario", "Zoe", "Ben")[number % 4] for number in numbers}
        system.db.users.insert_many(
            {
                "_id": f"large{number:06}",
                "name": f"{shown[number].lower()}.{number}",
                "display_name": shown[number],
                "image": None,
                "status": "online",
                "status_text": None,
                "rev": 1,
            }
            for number in numbers
        )
        system.db.members.insert_many(
            {
                "server_id": server_id,
                "user_id": f"large{number:06}",
                **named(None, shown[number].lower(), shown[number]),
                "roles": [role_id] if number % 1000 == 0 else [],
                "joined_date": None,
                "rev": 1,
            }
            for number in numbers
        )


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_page_of_a_large_server_costs_a_page(make_system: Callable[..., System]) -> None:
    system = await asyncio.to_thread(make_system(gateways=2).start)
    people = People(system)
    room = await people.room()
    role = await promote(room)
    everyone = (await room.owner.call("get_server_roles", server_id=room.server_id))["roles"][0]["id"]
    hidden = [{"role_id": everyone, "allow": [], "deny": ["view_channel"]}]
    closed = await room.owner.call("add_channel", server_id=room.server_id, name="closed", roles=hidden)
    system.db.members.update_many({"server_id": room.server_id}, {"$set": {"joined_date": None}})
    await asyncio.to_thread(populate, system, room.server_id, role["id"])
    system.db.members.update_many({"server_id": room.server_id}, [{"$set": {"joined_date": "$$NOW"}}])

    wanted: list[dict[str, Any]] = [
        {}, {"name": "m"}, {"name": "mari"}, {"name": "z"}, {"role_id": role["id"]}, {"user_ids": ["large000003"]},
    ]  # fmt: skip
    for filter_ in wanted:
        anchor = None
        for _ in range(3):
            with examined(system) as keys:
                shown = await page(room.owner, room.server_id, 30, anchor, **filter_)
            assert keys
            assert sum(keys) <= 2 * 31, (filter_, keys)
            if "user_ids" not in filter_:
                assert len(shown["members"]) == 30, filter_
            anchor = shown["next_anchor"]
    with examined(system) as keys:  # almost nobody passes: the page ends, and says where it goes on
        shown = await page(room.owner, room.server_id, 30, channel_id=closed["id"])
    assert sum(keys) <= 2000 + 200
    assert shown["next_anchor"] is not None
    await people.close()
