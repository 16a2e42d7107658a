"""Messages: reply, event at the other on the other gateway, stored documents; pages in every direction."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.client import Client, RpcError
from tests.rig import People, Room, System, assert_dense, refused

MESSAGE = {
    "id", "channel_id", "author_id", "content", "created_date", "edited_date",
    "reply_to", "reactions", "mentions", "mentions_everyone", "rev",
}  # fmt: skip


async def fill(client: Client, channel_id: str, amount: int) -> list[dict[str, Any]]:
    """So many messages, in order."""
    made: list[dict[str, Any]] = []
    while len(made) < amount:
        batch = min(50, amount - len(made))
        made += await client.batch(
            *(("add_message", {"channel_id": channel_id, "content": f"{len(made) + n + 1}"}) for n in range(batch))
        )
    return made


async def page(client: Client, channel_id: str, amount: int, anchor: int, *, newer: bool) -> dict[str, Any]:
    chunk: dict[str, Any] = await client.call(
        "get_message_chunk", channel_id=channel_id, amount=amount, anchor=anchor, direction=newer
    )
    return chunk


def ids(chunk: dict[str, Any]) -> list[int]:
    return [message["id"] for message in chunk["messages"]]


@pytest.mark.protocol("add_message", "message_added")
async def test_add_message(system: System, people: People) -> None:
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    made = await room.owner.call("add_message", channel_id=room.channel_id, content="Hello ☕\n\tthere", nonce="n1")
    assert set(made) - {"nonce"} == MESSAGE
    assert (made["id"], made["rev"]) == (1, 1)
    assert (made["channel_id"], made["author_id"]) == (room.channel_id, room.owner_is.id)
    assert made["content"] == "Hello ☕\n\tthere"
    assert made["edited_date"] is made["reply_to"] is None
    assert made["reactions"] == made["mentions"] == []
    assert made["mentions_everyone"] is False
    created = datetime.fromisoformat(made["created_date"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 5

    theirs = await room.member.event("message_added")
    assert (theirs.scope, theirs.rev) == (f"channel:{room.channel_id}", 1)
    message = {name: value for name, value in made.items() if name != "nonce"}
    assert theirs.params["message"] == message
    assert "nonce" not in theirs.params
    for mine in (room.owner, device):
        event = await mine.event("message_added")
        assert event.params["message"] == {**message, "nonce": "n1"}
    chunk = await page(room.member, room.channel_id, 10, 0, newer=False)
    assert chunk["messages"] == [message]
    assert system.db.messages.count_documents({"channel_id": room.channel_id}) == 1
    await assert_dense(system, f"channel:{room.channel_id}", 1)


async def test_a_message_to_where_one_is_not(people: People) -> None:
    room = await people.room()
    stranger = await people.connect(await people.anybody("eve"), 1)
    foreign = await refused(stranger.call("add_message", channel_id=room.channel_id, content="x"))
    nowhere = await refused(stranger.call("add_message", channel_id="0" * 24, content="x"))
    assert (foreign.code, foreign.reason) == (4040, "not_found")
    assert (foreign.message, foreign.data) == (nowhere.message, nowhere.data)


async def test_ids_count_within_each_channel(people: People) -> None:
    room = await people.room()
    second = (await room.owner.call("add_channel", server_id=room.server_id, name="second"))["id"]
    made = await asyncio.gather(
        *(
            client.call("add_message", channel_id=channel, content="x")
            for client in (room.owner, room.member)
            for channel in (room.channel_id, second) * 5
        )
    )
    for channel in (room.channel_id, second):
        mine = [(message["id"], message["rev"]) for message in made if message["channel_id"] == channel]
        assert sorted(mine) == [(number, number) for number in range(1, 11)]


async def test_a_nonce_makes_one_message(system: System, people: People) -> None:
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    params = {"channel_id": room.channel_id, "nonce": "once"}
    calls = [client.call("add_message", **params, content="first") for client in (room.owner, device) * 5]
    outcomes = await asyncio.gather(*calls)
    assert {outcome["id"] for outcome in outcomes} == {1}
    late = await device.call("add_message", **params, content="second")
    assert late == outcomes[0]
    theirs = await room.member.call("add_message", **params, content="his own")
    assert theirs["id"] == 2
    channel = (await room.owner.call("add_channel", server_id=room.server_id, name="other"))["id"]
    elsewhere = await room.owner.call("add_message", channel_id=channel, nonce="once", content="elsewhere")
    assert (elsewhere["channel_id"], elsewhere["content"]) == (channel, "elsewhere")
    assert [event.rev for event in room.member.heard("message_added", scope=f"channel:{room.channel_id}")] == [1, 2]
    assert system.db.messages.count_documents({"channel_id": room.channel_id}) == 2


async def test_a_nonce_outlives_its_message(people: People) -> None:
    room = await people.room()
    params = {"channel_id": room.channel_id, "nonce": "once", "content": "x"}
    made = await room.owner.call("add_message", **params)
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=1)
    again = await room.owner.call("add_message", **params)
    assert again["id"] == made["id"]
    assert ids(await page(room.owner, room.channel_id, 10, 0, newer=False)) == []
    assert (await room.owner.call("add_message", channel_id=room.channel_id, content="y"))["id"] == 2


async def test_reply_to(people: People) -> None:
    room = await people.room()
    await fill(room.owner, room.channel_id, 5)
    answer = await room.member.call("add_message", channel_id=room.channel_id, content="to 2", reply_to=2)
    assert answer["reply_to"] == 2
    chunk = await page(room.owner, room.channel_id, 2, 0, newer=False)
    assert [message["id"] for message in chunk["replies"]] == [2]
    whole = await page(room.owner, room.channel_id, 10, 0, newer=False)
    assert whole["replies"] == []
    assert {user["id"] for user in whole["users"]} == {room.owner_is.id, room.member_is.id}


async def test_a_reply_to_nothing(people: People) -> None:
    room = await people.room()
    missing = room.owner.call("add_message", channel_id=room.channel_id, content="x", reply_to=9)
    assert (await refused(missing)).reason == "not_found"


async def test_mentions(people: People) -> None:
    room = await people.room()
    stranger = await people.anybody("eve")
    content = f"<@{room.member_is.id}> and <@{room.member_is.id}> and <@{'0' * 24}> @everyone <@>"
    made = await room.owner.call("add_message", channel_id=room.channel_id, content=content)
    assert made["content"] == content
    assert room.member_is.id in made["mentions"]
    assert len(set(made["mentions"])) == len(made["mentions"])
    assert "0" * 24 not in made["mentions"]
    assert made["mentions_everyone"] is True  # the owner may do everything
    theirs = await room.member.call("add_message", channel_id=room.channel_id, content=f"@everyone <@{stranger.id}>")
    assert theirs["mentions_everyone"] is False
    chunk = await page(room.member, room.channel_id, 10, 0, newer=False)
    assert {room.owner_is.id, room.member_is.id} <= {user["id"] for user in chunk["users"]}


@pytest.mark.protocol("update_message", "message_changed")
async def test_update_message(system: System, people: People) -> None:
    room = await people.room()
    made = await room.member.call("add_message", channel_id=room.channel_id, content="before")
    changed = await room.member.call("update_message", channel_id=room.channel_id, message_id=1, content="after")
    assert changed["edited_date"] >= made["created_date"]
    assert changed == {**made, "content": "after", "edited_date": changed["edited_date"], "rev": 2}
    event = await room.owner.event("message_changed")
    assert (event.scope, event.rev) == (f"channel:{room.channel_id}", 2)
    assert (event.params["message_id"], event.params["was"]) == (1, 1)
    assert event.params["changes"] == {"content": "after", "edited_date": changed["edited_date"]}
    chunk = await page(room.owner, room.channel_id, 10, 0, newer=False)
    assert chunk["messages"] == [changed]
    assert chunk["rev"] == 2
    await assert_dense(system, f"channel:{room.channel_id}", 2)


async def test_only_the_author_edits(people: People) -> None:
    room = await people.room()
    await room.member.call("add_message", channel_id=room.channel_id, content="mine")
    edit = {"channel_id": room.channel_id, "content": "yours"}
    refusal = await refused(room.owner.call("update_message", message_id=1, **edit))
    assert (refusal.code, refusal.reason) == (4030, "forbidden")
    assert (await refused(room.owner.call("update_message", message_id=2, **edit))).reason == "not_found"
    assert (await page(room.owner, room.channel_id, 10, 0, newer=False))["messages"][0]["content"] == "mine"


async def test_edits_at_once_all_count(people: People) -> None:
    room = await people.room()
    device = await people.connect(room.owner_is, 1)
    await room.owner.call("add_message", channel_id=room.channel_id, content="0")
    edits = [
        client.call("update_message", channel_id=room.channel_id, message_id=1, content=f"{number}")
        for number, client in enumerate((room.owner, device) * 5, 1)
    ]
    replies = await asyncio.gather(*edits)
    assert sorted(reply["rev"] for reply in replies) == list(range(2, 12))
    last = max(replies, key=lambda reply: int(reply["rev"]))
    assert (await page(room.member, room.channel_id, 1, 0, newer=False))["messages"] == [last]
    await room.member.until(lambda: len(room.member.heard("message_changed")) == 10, "all edits")
    assert [event.params["was"] for event in room.member.heard("message_changed")] == list(range(1, 11))


@pytest.mark.protocol("delete_message", "message_deleted")
@pytest.mark.parametrize("by", ["author", "owner"])
async def test_delete_message(system: System, people: People, by: str) -> None:
    room = await people.room()
    await fill(room.member, room.channel_id, 2)
    client = room.member if by == "author" else room.owner
    assert await client.call("delete_message", channel_id=room.channel_id, message_id=1) == {}
    for hearer in (room.owner, room.member):
        event = await hearer.event("message_deleted")
        assert (event.scope, event.rev, event.params["message_id"]) == (f"channel:{room.channel_id}", 3, 1)
        assert set(event.params) == {"scope", "rev", "message_id"}
    assert await client.call("delete_message", channel_id=room.channel_id, message_id=1) == {}
    chunk = await page(room.owner, room.channel_id, 10, 0, newer=False)
    assert (ids(chunk), chunk["rev"], chunk["last_message_id"]) == ([2], 3, 2)
    edit = room.member.call("update_message", channel_id=room.channel_id, message_id=1, content="still there?")
    assert (await refused(edit)).reason == "not_found"
    await assert_dense(system, f"channel:{room.channel_id}", 3)


async def test_a_deleted_text_is_gone_from_the_message(system: System, people: People) -> None:
    room = await people.room()
    await room.owner.call("add_message", channel_id=room.channel_id, content="a secret to be deleted")
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=1)
    assert "a secret to be deleted" not in str(list(system.db.messages.find({"channel_id": room.channel_id})))


async def test_an_id_is_never_used_again(people: People) -> None:
    room = await people.room()
    await fill(room.owner, room.channel_id, 3)
    await room.owner.call("delete_message", channel_id=room.channel_id, message_id=3)
    assert (await room.owner.call("add_message", channel_id=room.channel_id, content="next"))["id"] == 4


async def test_only_author_and_owner_delete(people: People) -> None:
    room = await people.room()
    await fill(room.owner, room.channel_id, 1)
    refusal = await refused(room.member.call("delete_message", channel_id=room.channel_id, message_id=1))
    assert (refusal.code, refusal.data.get("needs")) == (4030, "manage_messages")
    never = room.member.call("delete_message", channel_id=room.channel_id, message_id=9)
    assert (await refused(never)).reason == "not_found"


@pytest.fixture
async def long_room(people: People) -> Room:
    """A room with messages 1 to 120, less 50 and 60."""
    room = await people.room()
    await fill(room.owner, room.channel_id, 120)
    await room.owner.batch(
        *(("delete_message", {"channel_id": room.channel_id, "message_id": number}) for number in (50, 60))
    )
    return room


LIVE = [number for number in range(1, 121) if number not in {50, 60}]


@pytest.mark.protocol("get_message_chunk")
async def test_pages(long_room: Room) -> None:
    room = long_room
    for newer in (False, True):  # anchor 0: the newest, either direction
        newest = await page(room.member, room.channel_id, 100, 0, newer=newer)
        assert ids(newest) == LIVE[-100:]
        assert newest["has_more"] is not newer
        assert (newest["last_message_id"], newest["rev"], newest["full"]) == (120, 122, True)
    for anchor in (49, 50, 51, 60, 61):  # it may have been deleted
        above = await page(room.member, room.channel_id, 7, anchor, newer=True)
        assert ids(above) == [number for number in LIVE if number > anchor][:7]
        assert above["has_more"] is True
        below = await page(room.member, room.channel_id, 7, anchor, newer=False)
        assert ids(below) == [number for number in LIVE if number < anchor][-7:]
        assert below["has_more"] is True
    assert ids(await page(room.member, room.channel_id, 7, 120, newer=True)) == []
    assert ids(await page(room.member, room.channel_id, 7, 10**9, newer=False)) == LIVE[-7:]
    assert ids(await page(room.member, room.channel_id, 7, 1, newer=False)) == []


async def test_has_more_is_exact(long_room: Room) -> None:
    room = long_room
    for anchor, newer, amount, more in (
        (4, False, 3, False),
        (4, False, 2, True),
        (117, True, 3, False),
        (117, True, 2, True),
        (1, False, 1, False),
        (120, True, 1, False),
    ):
        chunk = await page(room.member, room.channel_id, amount, anchor, newer=newer)
        assert (anchor, newer, amount, chunk["has_more"]) == (anchor, newer, amount, more)


async def test_around_a_message(long_room: Room) -> None:
    room = long_room
    for middle, amount in ((70, 11), (50, 10), (1, 10), (120, 10)):
        chunk = await room.member.call(
            "get_message_chunk", channel_id=room.channel_id, amount=amount, around=middle, direction=False
        )
        found = ids(chunk)
        assert found == sorted(found)
        assert 0 < len(found) <= amount
        assert middle in found or middle not in LIVE
        assert min(found) <= middle + 1
        assert max(found) >= middle - 1
        assert found == [number for number in LIVE if min(found) <= number <= max(found)]


async def test_an_empty_channel(people: People) -> None:
    room = await people.room()
    chunk = await page(room.member, room.channel_id, 50, 0, newer=False)
    assert (chunk["messages"], chunk["users"], chunk["replies"]) == ([], [], [])
    assert (chunk["has_more"], chunk["last_message_id"], chunk["rev"]) == (False, 0, 0)


async def test_a_page_is_never_larger_than_a_frame_may_be(people: People) -> None:
    """A hundred messages of 4,000 characters, 3 bytes each: over a MiB; the client would refuse more than 640 KiB."""
    room = await people.room()
    text = "語" * 4000
    made = await asyncio.gather(
        *(room.owner.call("add_message", channel_id=room.channel_id, content=text) for _ in range(100))
    )
    assert not [outcome for outcome in made if isinstance(outcome, RpcError)]
    seen: list[int] = []
    anchor, more = 0, True
    while more:
        chunk = await page(room.member, room.channel_id, 100, anchor, newer=False)
        seen = ids(chunk) + seen
        anchor, more = seen[0], chunk["has_more"]
    assert seen == list(range(1, 101))
