"""Reactions: counted in the message, each one's own known to them, never drifting."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest

from tests.client import Client
from tests.rig import People, Room, System, assert_dense, eventually, join, refused

Document = dict[str, Any]


async def said(room: Room, content: str = "hello") -> int:
    made = await room.owner.call("add_message", channel_id=room.channel_id, content=content)
    return int(made["id"])


async def react(client: Client, room: Room, message_id: int, emoji: str, **more: Any) -> Any:
    return await client.call("add_reaction", channel_id=room.channel_id, message_id=message_id, emoji=emoji, **more)


async def unreact(client: Client, room: Room, message_id: int, emoji: str) -> Any:
    return await client.call("delete_reaction", channel_id=room.channel_id, message_id=message_id, emoji=emoji)


async def shown(client: Client, room: Room, message_id: int = 1) -> list[Document]:
    page = await client.call("get_message_chunk", channel_id=room.channel_id, amount=1, around=message_id)
    reactions: list[Document] = page["messages"][0]["reactions"]
    return reactions


def stored(system: System, room: Room, message_id: int = 1) -> dict[str, int]:
    """The rows, counted by emoji."""
    counts: dict[str, int] = {}
    for row in system.db.reactions.find({"channel_id": room.channel_id, "message_id": message_id}):
        counts[row["emoji"]] = counts.get(row["emoji"], 0) + 1
    return counts


@pytest.mark.protocol("add_reaction", "message_changed")
async def test_add_reaction(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    made = await react(room.member, room, message_id, "👍")
    assert made == {"emoji": "👍", "count": 1, "me": True}
    event = await room.owner.event("message_changed", scope=f"channel:{room.channel_id}")
    assert event.params == {
        "scope": f"channel:{room.channel_id}",
        "rev": 2,
        "message_id": message_id,
        "changes": {"reactions": [{"emoji": "👍", "count": 1}]},
        "was": 1,
        "reaction": {"emoji": "👍", "user_id": room.member_is.id, "on": True},
    }
    assert await shown(room.member, room) == [{"emoji": "👍", "count": 1, "me": True}]
    assert await shown(room.owner, room) == [{"emoji": "👍", "count": 1, "me": False}]
    assert stored(system, room) == {"👍": 1}
    await assert_dense(system, f"channel:{room.channel_id}", 2)


@pytest.mark.protocol("delete_reaction", "message_changed")
async def test_delete_reaction(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    await react(room.member, room, message_id, "👍")
    await react(room.owner, room, message_id, "👍")
    assert await unreact(room.member, room, message_id, "👍") == {}
    gone = (await room.owner.event("message_changed", rev=4)).params
    assert gone["changes"] == {"reactions": [{"emoji": "👍", "count": 1}]}
    assert gone["reaction"] == {"emoji": "👍", "user_id": room.member_is.id, "on": False}
    await unreact(room.owner, room, message_id, "👍")
    assert (await room.member.event("message_changed", rev=5)).params["changes"] == {"reactions": []}
    assert await shown(room.owner, room) == []
    assert stored(system, room) == {}


async def test_twice_is_once(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    device = await people.connect(room.member_is, 0)
    made = await asyncio.gather(*(react(client, room, message_id, "👍") for client in (room.member, device) * 8))
    assert {reaction["count"] for reaction in made} == {1}
    await asyncio.gather(*(unreact(client, room, message_id, "👍") for client in (room.member, device) * 8))
    assert await unreact(room.member, room, message_id, "never") == {}
    assert (await shown(room.owner, room), stored(system, room)) == ([], {})
    await assert_dense(system, f"channel:{room.channel_id}", 3)


async def test_a_nonce_reacts_once(people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    first = await react(room.member, room, message_id, "👍", nonce="n")
    await react(room.owner, room, message_id, "👍")
    assert await react(room.member, room, message_id, "👍", nonce="n") == first


def groups(system: System) -> float:
    """How many the messages service has tried to commit so far, by its own count."""
    with urlopen(f"http://127.0.0.1:{system.processes['messages-0'].admin_port}/metrics") as page:
        found = re.search(r"^guildwire_journal_group_size_count ([0-9.e+]+)$", page.read().decode(), re.MULTILINE)
    assert found
    return float(found[1])


@pytest.mark.slow
async def test_fifty_at_once(system: System, people: People) -> None:
    """Nobody's is lost, none is counted twice, and every event tells the count as of its revision."""
    room = await people.room(new=True)
    message_id = await said(room)
    persons = await people.several(*["fan"] * 50)
    fans = await asyncio.gather(*(people.connect(person, number % 2) for number, person in enumerate(persons)))
    invite = (await room.owner.call("add_invite", server_id=room.server_id))["code"]
    await asyncio.gather(*(fan.call("join_server", invite=invite) for fan in fans))
    before = groups(system)
    await asyncio.gather(*(react(fan, room, message_id, "👍") for fan in fans))
    assert groups(system) - before < 25  # they share transactions: tried in halves, it would be a hundred
    assert await shown(fans[0], room) == [{"emoji": "👍", "count": 50, "me": True}]
    assert stored(system, room) == {"👍": 50}
    await room.member.event("message_changed", scope=f"channel:{room.channel_id}", rev=51)
    events = room.member.heard("message_changed", scope=f"channel:{room.channel_id}")
    assert [event.params["changes"]["reactions"][0]["count"] for event in events] == list(range(1, 51))
    assert [event.params["was"] for event in events] == list(range(1, 51))
    await asyncio.gather(
        *(unreact(fan, room, message_id, "👍") for fan in fans[::2]),
        *(react(fan, room, message_id, "🎉") for fan in fans),
        room.owner.call("update_message", channel_id=room.channel_id, message_id=message_id, content="edited"),
    )
    assert [(each["emoji"], each["count"]) for each in await shown(room.owner, room)] == [("👍", 25), ("🎉", 50)]
    assert stored(system, room) == {"👍": 25, "🎉": 50}
    await assert_dense(system, f"channel:{room.channel_id}", 1 + 50 + 25 + 50 + 1)


@pytest.mark.slow
async def test_two_replicas_count_right(make_system: Callable[..., System]) -> None:
    """Without affinity both write the same message: the slower one begins again, and none is lost."""
    env = {"gateway": {"AFFINITY": "off"}}
    with make_system(replicas={"messages": 2}, env=env) as system:
        people = People(system)
        room = await people.room()
        message_id = await said(room)
        emojis = [f"e{number}" for number in range(10)]
        clients = [room.owner, room.member]
        await asyncio.gather(*(react(client, room, message_id, emoji) for client in clients for emoji in emojis))
        assert {each["emoji"]: each["count"] for each in await shown(room.owner, room)} == dict.fromkeys(emojis, 2)
        assert stored(system, room) == dict.fromkeys(emojis, 2)
        await assert_dense(system, f"channel:{room.channel_id}", 21)
        await people.close()


async def test_at_most_twenty_kinds(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    for number in range(20):
        await react(room.owner, room, message_id, f"e{number}")
    refusal = await refused(react(room.member, room, message_id, "one more"))
    assert (refusal.code, refusal.reason) == (4090, "conflict")
    assert (await react(room.member, room, message_id, "e7"))["count"] == 2
    await unreact(room.owner, room, message_id, "e0")
    both = [react(room.owner, room, message_id, "x"), react(room.member, room, message_id, "y")]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(getattr(outcome, "reason", "") for outcome in outcomes) == ["", "conflict"]
    assert len(stored(system, room)) == 20


async def test_a_deleted_message_has_no_reactions(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    await react(room.member, room, message_id, "👍")
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=message_id)
    refusal = await refused(react(room.member, room, message_id, "🎉"))
    assert refusal.reason == "not_found"
    assert await unreact(room.member, room, message_id, "👍") == {}
    await eventually(lambda: stored(system, room) == {}, "the rows are cleared")
    await eventually(lambda: system.db.spent_messages.count_documents({}) == 0, "the note is cleared")


async def test_reactions_and_a_deletion_at_once(system: System, people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    deletion = room.owner.call("delete_message", channel_id=room.channel_id, message_id=message_id)
    reacting = [react(room.member, room, message_id, f"e{number}") for number in range(10)]
    outcomes = await asyncio.gather(*reacting[:5], deletion, *reacting[5:], return_exceptions=True)
    assert {getattr(outcome, "reason", "") for outcome in outcomes} <= {"", "not_found"}
    await eventually(lambda: stored(system, room) == {}, "the rows are cleared")


async def test_one_needs_the_permission(system: System, people: People) -> None:
    room = await people.room(new=True)
    message_id = await said(room)
    await react(room.member, room, message_id, "👍")
    server = system.db.servers.find_one({"_id": room.server_id}) or {}
    rules = ["view_channel", "send_messages"]
    system.db.roles.update_one({"_id": server["everyone_id"]}, {"$set": {"rules": rules}})
    system.db.servers.update_one({"_id": room.server_id}, {"$set": {"perm_rev": server["perm_rev"] + 1}})
    refusal = await refused(react(room.member, room, message_id, "🎉"))
    assert (refusal.reason, refusal.data["needs"]) == ("forbidden", "add_reactions")
    assert await unreact(room.member, room, message_id, "👍") == {}
    assert stored(system, room) == {}


async def test_since_shows_my_own(people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    await react(room.member, room, message_id, "👍")
    page = {"channel_id": room.channel_id, "amount": 10, "anchor": 0, "direction": False, "since": 1}
    for client, me in ((room.member, True), (room.owner, False)):
        delta = await client.call("get_message_chunk", **page)
        assert delta["full"] is False
        assert delta["updated"][0]["reactions"] == [{"emoji": "👍", "count": 1, "me": me}]


async def test_an_edit_returns_the_reactions(people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    await react(room.owner, room, message_id, "👍")
    edited = await room.owner.call(
        "update_message", channel_id=room.channel_id, message_id=message_id, content="better"
    )
    assert edited["reactions"] == [{"emoji": "👍", "count": 1, "me": True}]
    event = await room.member.event("message_changed", rev=3)
    assert "reaction" not in event.params


async def test_a_stranger_finds_nothing(people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    stranger = await people.connect(await people.anybody("eve"), 1)
    for method in ("add_reaction", "delete_reaction"):
        missing = await refused(stranger.call(method, channel_id="0" * 24, message_id=1, emoji="x"))
        foreign = await refused(stranger.call(method, channel_id=room.channel_id, message_id=message_id, emoji="x"))
        assert (foreign.code, foreign.message, foreign.data) == (missing.code, missing.message, missing.data)


async def test_who_joins_later_sees_counts(people: People) -> None:
    room = await people.room()
    message_id = await said(room)
    await react(room.owner, room, message_id, "👍")
    late = await people.connect(await people.register("late"), 1)
    await join(room.owner, late, room.server_id)
    assert await shown(late, room) == [{"emoji": "👍", "count": 1, "me": False}]
