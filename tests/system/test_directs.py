"""Direct channels: who has one open hears it, on any gateway, and nobody else; leaving, coming back, blocking."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.client import Client
from tests.rig import People, Person, System, assert_dense, join, refused

Document = dict[str, Any]
GROUP = ("ann", "bob", "cid")


@dataclass(frozen=True)
class Circle:
    """People who share a server, on both gateways by turns."""

    persons: list[Person]
    clients: list[Client]

    @property
    def ids(self) -> list[str]:
        return [person.id for person in self.persons]


async def circle(people: People, *names: str) -> Circle:
    persons = await people.several(*names)
    clients = await asyncio.gather(*(people.connect(person, number % 2) for number, person in enumerate(persons)))
    server_id = (await clients[0].call("add_server", name="Circle"))["id"]
    for client in clients[1:]:
        await join(clients[0], client, server_id)
    return Circle(persons, list(clients))


async def listed(client: Client) -> list[str]:
    return [channel["id"] for channel in (await client.call("get_direct_channels"))["channels"]]


async def say(client: Client, channel_id: str, content: str = "hi", **more: Any) -> Document:
    made: Document = await client.call("add_message", channel_id=channel_id, content=content, **more)
    return made


async def opened_again(client: Client) -> Document:
    """The channel as the second event had it."""
    await client.until(lambda: len(client.heard("direct_channel_added")) == 2)
    channel: Document = client.heard("direct_channel_added")[1].params["channel"]
    return channel


async def texts(client: Client, channel_id: str) -> list[str]:
    page = await client.call("get_message_chunk", channel_id=channel_id, amount=100, anchor=0, direction=False)
    return [message["content"] for message in page["messages"]]


@pytest.mark.protocol("add_direct_channel", "get_direct_channels", "direct_channel_added")
async def test_add_direct_channel(system: System, people: People) -> None:
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    device = await people.connect(group.persons[0], 1)
    made = await ann.call("add_direct_channel", user_ids=[group.ids[1]], nonce="n")
    assert set(made) == {"id", "users", "last_message_id", "rev"}
    assert sorted(user["id"] for user in made["users"]) == sorted(group.ids)
    assert made["last_message_id"] == 0
    for client in (ann, device):
        event = await client.event("direct_channel_added")
        assert (event.scope, event.rev) == (f"self:{group.ids[0]}", made["rev"])
        assert (event.params["channel"], event.params["at"]) == (made, 0)
    assert await ann.call("add_direct_channel", user_ids=[group.ids[1]]) == made
    assert await ann.call("add_direct_channel", user_ids=[group.ids[1], group.ids[0]], nonce="n") == made
    assert (await ann.call("get_direct_channels"))["channels"] == [made]
    assert await listed(bob) == []
    assert (await refused(say(bob, made["id"]))).reason == "not_found"
    assert not bob.heard("direct_channel_added")
    assert system.db.directs.count_documents({"users": group.ids[0]}) == 1


@pytest.mark.protocol("direct_channel_added", "add_message", "message_added")
async def test_others_learn_with_the_first_message(system: System, people: People) -> None:
    group = await circle(people, *GROUP)
    ann, bob, cid = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=group.ids[1:]))["id"]
    first = await say(ann, channel_id, "first", nonce="n")
    for client in (bob, cid):
        added = await client.event("direct_channel_added")
        assert added.params["channel"]["id"] == channel_id
        assert sorted(user["id"] for user in added.params["channel"]["users"]) == sorted(group.ids)
        said = await client.event("message_added", scope=f"channel:{channel_id}")
        assert client.received.index(added) < client.received.index(said)
        assert (said.rev, said.params["message"]) == (added.params["at"] + 1, first)
    assert (await ann.event("message_added")).params["message"] == {**first, "nonce": "n"}
    assert await say(ann, channel_id, "again", nonce="n") == first
    answer = await say(bob, channel_id, "second @everyone")
    assert answer["mentions_everyone"] is True
    for client in group.clients:
        event = await client.event("message_added", scope=f"channel:{channel_id}", rev=2)
        assert event.params["message"]["content"] == "second @everyone"
        assert await texts(client, channel_id) == ["first", "second @everyone"]
        assert len(client.heard("direct_channel_added")) == 1
    await assert_dense(system, f"channel:{channel_id}", 2)


async def test_first_messages_from_both_at_once(system: System, people: People) -> None:
    """Crossing: both make it, both write; there is one channel, and all is told once."""
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    both = [ann.call("add_direct_channel", user_ids=[group.ids[1]]) for _ in range(3)]
    both += [bob.call("add_direct_channel", user_ids=[group.ids[0]]) for _ in range(3)]
    made = await asyncio.gather(*both)
    (channel_id,) = {channel["id"] for channel in made}
    await asyncio.gather(*(say(client, channel_id, f"{number}") for number in range(10) for client in (ann, bob)))
    for client in (ann, bob):
        await client.event("message_added", scope=f"channel:{channel_id}", rev=20)
        assert [event.rev for event in client.heard("message_added")] == list(range(1, 21))
        assert len(client.heard("direct_channel_added")) == 1
    await assert_dense(system, f"channel:{channel_id}", 20)


@pytest.mark.protocol("add_direct_channel")
async def test_only_with_people_one_knows(system: System, people: People) -> None:
    ann, eve = await people.several("ann", "eve")
    client = await people.connect(ann)
    refusal = await refused(client.call("add_direct_channel", user_ids=[eve.id]))
    assert (refusal.code, refusal.reason) == (4030, "forbidden")
    assert (await refused(client.call("add_direct_channel", user_ids=["0" * 24]))).reason == "not_found"
    assert (await refused(client.call("add_direct_channel", user_ids=[ann.id]))).reason == "invalid_params"
    assert system.db.directs.count_documents({"users": ann.id}) == 0
    system.db.friends.insert_one({"user_id": ann.id, "other_id": eve.id, "state": "friend"})
    assert (await client.call("add_direct_channel", user_ids=[eve.id]))["id"]


@pytest.mark.protocol("leave_direct_channel", "direct_channel_deleted")
async def test_a_pair_is_closed_until_the_next_message(system: System, people: People) -> None:
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    device = await people.connect(group.persons[0], 1)
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    await say(ann, channel_id, "one")
    await bob.event("message_added")
    assert await ann.call("leave_direct_channel", channel_id=channel_id) == {}
    assert await ann.call("leave_direct_channel", channel_id=channel_id) == {}
    for client in (ann, device):
        assert (await client.event("direct_channel_deleted")).params["channel_id"] == channel_id
    assert await listed(ann) == []
    assert (await refused(texts(ann, channel_id))).reason == "not_found"
    assert await listed(bob) == [channel_id]
    assert not bob.heard("direct_channel_deleted")
    await say(bob, channel_id, "two")
    for client in (ann, device):
        await opened_again(client)
        await client.event("message_added", scope=f"channel:{channel_id}", rev=3)
    assert await texts(ann, channel_id) == ["one", "two"]
    await assert_dense(system, f"channel:{channel_id}", 3)


@pytest.mark.protocol("leave_direct_channel", "direct_channel_deleted", "direct_channel_added")
async def test_a_group_is_left_for_good(system: System, people: People) -> None:
    group = await circle(people, *GROUP)
    ann, bob, cid = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=group.ids[1:]))["id"]
    await say(ann, channel_id, "one")
    await cid.event("message_added")
    await cid.call("leave_direct_channel", channel_id=channel_id)
    await cid.event("direct_channel_deleted")
    for client in (ann, bob):
        again = await opened_again(client)
        assert [user["id"] for user in again["users"]] == sorted(group.ids[:2])
    await say(bob, channel_id, "two")
    await ann.event("message_added", scope=f"channel:{channel_id}", rev=3)
    assert [event.params["message"]["content"] for event in cid.heard("message_added")] == ["one"]
    assert (await refused(say(cid, channel_id))).reason == "not_found"
    again = await ann.call("add_direct_channel", user_ids=group.ids[1:])
    assert (again["id"], len(again["users"])) == (channel_id, 3)
    await say(ann, channel_id, "three")
    await opened_again(cid)
    await cid.event("message_added", scope=f"channel:{channel_id}", rev=4)
    assert await texts(cid, channel_id) == ["one", "two", "three"]
    await assert_dense(system, f"channel:{channel_id}", 4)


async def test_who_leaves_is_told_nothing_later(people: People) -> None:
    """Whatever order the hints come in: the others write on while one leaves."""
    group = await circle(people, *GROUP)
    ann, bob, cid = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=group.ids[1:]))["id"]
    await say(ann, channel_id)
    await cid.event("message_added")

    async def talk(client: Client) -> None:
        for number in range(15):
            await say(client, channel_id, f"{number}")

    talking = [asyncio.create_task(talk(client)) for client in (ann, bob)]
    await cid.until(lambda: len(cid.heard("message_added")) > 5)
    await cid.call("leave_direct_channel", channel_id=channel_id)
    left_at = len(await texts(ann, channel_id))
    await asyncio.gather(*talking)
    await cid.event("direct_channel_deleted")
    await ann.event("message_added", scope=f"channel:{channel_id}", rev=32)
    heard = [event.rev for event in cid.heard("message_added")]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) <= left_at


async def test_all_message_methods_work(people: People) -> None:
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    scope = f"channel:{channel_id}"
    await say(ann, channel_id, "one")
    await ann.call("update_message", channel_id=channel_id, message_id=1, content="better")
    assert (await bob.event("message_changed", scope=scope)).params["changes"]["content"] == "better"
    await bob.call("add_reaction", channel_id=channel_id, message_id=1, emoji="👍")
    assert (await ann.event("message_changed", rev=3)).params["reaction"]["user_id"] == group.ids[1]
    assert (await refused(bob.call("delete_message", channel_id=channel_id, message_id=1))).reason == "forbidden"
    await ann.call("start_typing", channel_id=channel_id)
    assert (await bob.event("typing_started")).params == {"channel_id": channel_id, "user_id": group.ids[0]}
    await ann.call("delete_message", channel_id=channel_id, message_id=1)
    await bob.event("message_deleted", scope=scope)
    delta = await bob.call("get_message_chunk", channel_id=channel_id, amount=1, anchor=0, direction=False, since=3)
    assert (delta["full"], delta["updated"], delta["deleted"]) == (False, [], [1])


async def test_nobody_else_may_see_one(people: People) -> None:
    group = await circle(people, *GROUP)
    ann, bob, cid = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    await say(ann, channel_id, "private")
    await bob.event("message_added")
    for params in ({"channel_id": channel_id}, {"channel_id": "0" * 24}):
        refusal = await refused(cid.call("add_message", content="x", **params))
        assert (refusal.reason, refusal.message) == ("not_found", "No such channel.")
        assert (await refused(cid.call("start_typing", **params))).reason == "not_found"
        assert (await refused(cid.call("update_read_state", message_id=1, **params))).reason == "not_found"
        assert await cid.call("leave_direct_channel", **params) == {}
    assert await texts(ann, channel_id) == ["private"]
    assert not list(cid.heard("message_added"))


async def test_blocked(system: System, people: People) -> None:
    """As presence marks it: neither writes, both still read."""
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    await say(ann, channel_id, "one")
    await bob.event("message_added")
    key = {"key": ":".join(sorted(group.ids))}
    assert system.db.directs.update_one(key, {"$set": {"blocked_by": [group.ids[1]]}}).matched_count == 1
    for client in (ann, bob):
        refusal = await refused(say(client, channel_id, "two"))
        assert (refusal.code, refusal.data) == (4030, {"reason": "forbidden"})
        for method, more in (("add_reaction", {"message_id": 1, "emoji": "x"}), ("start_typing", {})):
            assert (await refused(client.call(method, channel_id=channel_id, **more))).reason == "forbidden"
        assert await texts(client, channel_id) == ["one"]
    edit = ann.call("update_message", channel_id=channel_id, message_id=1, content="x")
    assert (await refused(edit)).reason == "forbidden"
    system.db.directs.update_one(key, {"$set": {"blocked_by": []}})
    assert (await say(ann, channel_id, "two"))["id"] == 2


async def test_one_made_after_a_block_knows_it(system: System, people: People) -> None:
    group = await circle(people, "ann", "bob")
    ann_id, bob_id = group.ids
    system.db.friends.insert_many(
        [
            {"user_id": bob_id, "other_id": ann_id, "state": "blocked"},
            {"user_id": ann_id, "other_id": bob_id, "state": "blocked_by"},
        ]
    )
    channel_id = (await group.clients[0].call("add_direct_channel", user_ids=[bob_id]))["id"]
    assert (await refused(say(group.clients[0], channel_id))).reason == "forbidden"


@pytest.mark.protocol("get_direct_channels")
async def test_since(people: People) -> None:
    group = await circle(people, *GROUP)
    ann, bob, cid = group.clients
    pair = await ann.call("add_direct_channel", user_ids=[group.ids[1]])
    before = await ann.call("get_direct_channels")
    assert before["full"] is True
    same = await ann.call("get_direct_channels", since=before["rev"])
    assert same == {"rev": before["rev"], "full": False, "updated": [], "deleted": []}
    whole = await ann.call("add_direct_channel", user_ids=group.ids[1:])
    await ann.call("leave_direct_channel", channel_id=pair["id"])
    delta = await ann.call("get_direct_channels", since=before["rev"])
    assert (delta["updated"], delta["deleted"]) == ([whole], [pair["id"]])
    await say(ann, whole["id"])
    for client in (bob, cid):
        await client.event("direct_channel_added")
        assert await listed(client) == [whole["id"]]
        assert (await client.call("get_direct_channels"))["channels"][0]["last_message_id"] == 1


@pytest.mark.protocol("authenticate", "message_added")
async def test_a_new_connection_hears_them(people: People) -> None:
    """From `authenticate` on, without asking for anything."""
    group = await circle(people, "ann", "bob")
    ann, _ = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    await say(ann, channel_id, "one")
    devices = [await people.connect(group.persons[1], gateway) for gateway in (0, 1)]
    await say(ann, channel_id, "two")
    for device in devices:
        event = await device.event("message_added", scope=f"channel:{channel_id}")
        assert event.params["message"]["content"] == "two"


@pytest.mark.protocol("authenticate")
async def test_resume(people: People) -> None:
    group = await circle(people, *GROUP)
    ann, bob, _ = group.clients
    pair = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    whole = (await ann.call("add_direct_channel", user_ids=group.ids[1:]))["id"]
    for channel_id in (pair, whole):
        await say(ann, channel_id, "one")
    await bob.until(lambda: len(bob.heard("message_added")) == 2)
    position = (await bob.call("get_direct_channels"))["rev"]
    await bob.close()
    await say(ann, pair, "two")
    mine = f"self:{group.ids[1]}"
    claims = {mine: position, f"channel:{pair}": 1, f"channel:{whole}": 1, "channel:" + "0" * 24: 1}
    back = await people.open(0)
    entered = await back.call("authenticate", token=group.persons[1].token, resume=claims)
    assert entered["current"] == {mine: position, f"channel:{pair}": 2, f"channel:{whole}": 1}
    assert (entered["stale"], entered["gone"]) == ([], ["channel:" + "0" * 24])
    missed = await back.event("message_added", scope=f"channel:{pair}", rev=2)
    assert missed.params["message"]["content"] == "two"
    await back.close()

    other = await people.connect(group.persons[1], 0)
    await other.call("leave_direct_channel", channel_id=whole)
    await say(ann, whole, "two")
    for gateway in (0, 1):
        back = await people.open(gateway)
        entered = await back.call("authenticate", token=group.persons[1].token, resume=claims)
        assert entered["current"] == {mine: position + 1, f"channel:{pair}": 2}
        assert f"channel:{whole}" in entered["gone"]
        await back.event("resumed")
        assert not [event for event in back.events if event.params.get("scope") == f"channel:{whole}"]
    without = await people.open(1)
    claims = {f"channel:{pair}": 1}
    entered = await without.call("authenticate", token=group.persons[1].token, resume=claims)
    assert entered["stale"] == [f"channel:{pair}"]


@pytest.mark.protocol("get_user", "user_changed")
async def test_its_users_are_heard_of(people: People) -> None:
    """A whole user came in the event: what changes of them follows."""
    group = await circle(people, "ann", "bob")
    ann, bob = group.clients
    channel_id = (await ann.call("add_direct_channel", user_ids=[group.ids[1]]))["id"]
    await bob.call("update_user", changes={"display_name": "Robert"})
    told = await ann.event("user_changed", user_id=group.ids[1])
    assert told.params["changes"]["display_name"] == "Robert"
    await say(ann, channel_id)
    await bob.event("direct_channel_added")
    await ann.call("update_user", changes={"display_name": "Anna"})
    told = await bob.event("user_changed", user_id=group.ids[0])
    assert told.params["changes"]["display_name"] == "Anna"
