"""Coming into sight of a channel and going out of it: exactly one event each, whatever caused it, on any gateway."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.client import Client, RpcError
from tests.rig import People, Room, general, join

VIEW = "view_channel"
Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Hidden:
    """A room with a channel in a category of its own that only the holders of a role see."""

    room: Room
    channel_id: str
    category_id: str
    role_id: str
    everyone_id: str

    @property
    def of_member(self) -> dict[str, Any]:
        return {"server_id": self.room.server_id, "user_id": self.room.member_is.id}

    @property
    def owner(self) -> Call:
        return self.room.owner.call


async def hidden(people: People, *, new: bool = False) -> Hidden:
    room = await people.room(new=new)
    owner, in_server = room.owner.call, {"server_id": room.server_id}
    (everyone,) = (await owner("get_server_roles", **in_server))["roles"]
    role = await owner("add_role", **in_server, name="keepers", color="", rules=[])
    category = await owner("add_category", **in_server, name="Cellar")
    overwrites = [
        {"role_id": everyone["id"], "allow": [], "deny": [VIEW]},
        {"role_id": role["id"], "allow": [VIEW], "deny": []},
    ]
    made = await owner("add_channel", **in_server, name="hidden", category_id=category["id"], roles=overwrites)
    # What the member has heard so far was its own coming.
    await settled(room)
    return Hidden(room, made["id"], category["id"], role["id"], everyone["id"])


async def settled(room: Room) -> None:
    """Both have heard all there is: a message goes round after it."""
    said = await room.owner.call("add_message", channel_id=room.channel_id, content="settled")
    for client in (room.owner, room.member):
        await client.until(partial(_has_come, client, room, said["id"]), "the message that goes round")


def _has_come(client: Client, room: Room, message_id: int) -> bool:
    said = client.heard("message_added", scope=f"channel:{room.channel_id}")
    return any(event.params["message"]["id"] == message_id for event in said)


async def told(client: Client, channel_id: str) -> list[str]:
    """What the client was told of its sight of a channel, in order."""
    added = [
        (event.at, "added") for event in client.heard("channel_added") if event.params["channel"]["id"] == channel_id
    ]
    deleted = [(event.at, "deleted") for event in client.heard("channel_deleted", channel_id=channel_id)]
    return [what for _, what in sorted(added + deleted)]


async def lists(client: Client, place: Hidden) -> tuple[list[str], list[str]]:
    """The categories and channels that a fresh reply shows."""
    listed = await client.call("get_server_channels", server_id=place.room.server_id)
    categories = [each["id"] for each in listed["categories"] if each["id"]]
    return categories, [channel["id"] for each in listed["categories"] for channel in each["channels"]]


async def allow(place: Hidden, *, everyone: bool) -> None:
    overwrites = [] if everyone else [{"role_id": place.everyone_id, "allow": [], "deny": [VIEW]}]
    await place.owner("update_channel", channel_id=place.channel_id, changes={"roles": overwrites})


async def give_role(place: Hidden, *, held: bool) -> None:
    await place.owner("update_member", **place.of_member, changes={"roles": [place.role_id] if held else []})


async def administrate(place: Hidden, *, held: bool) -> None:
    rules = [VIEW, "administrator"] if held else [VIEW]
    changes = {"rules": rules}
    await place.owner("update_role", server_id=place.room.server_id, role_id=place.everyone_id, changes=changes)


async def by_role(place: Hidden) -> None:
    await give_role(place, held=True)
    await give_role(place, held=False)


async def by_overwrite(place: Hidden) -> None:
    await allow(place, everyone=True)
    await allow(place, everyone=False)


async def by_rules(place: Hidden) -> None:
    await administrate(place, held=True)
    await administrate(place, held=False)


async def by_the_role_s_end(place: Hidden) -> None:
    await give_role(place, held=True)
    await place.owner("delete_role", server_id=place.room.server_id, role_id=place.role_id)


async def by_the_channel_s_end(place: Hidden) -> None:
    await give_role(place, held=True)
    await place.owner("delete_channel", channel_id=place.channel_id)


async def by_owner(place: Hidden) -> None:
    ids = {"server_id": place.room.server_id}
    await place.owner("update_server", **ids, changes={"owner_id": place.room.member_is.id})
    await place.room.member.call("update_server", **ids, changes={"owner_id": place.room.owner_is.id})


@pytest.mark.protocol("channel_added", "channel_deleted", "category_added", "category_deleted")
@pytest.mark.parametrize("change", [by_role, by_overwrite, by_rules, by_the_role_s_end, by_the_channel_s_end, by_owner])
async def test_sight_comes_and_goes_with_one_event_each(
    people: People, change: Callable[[Hidden], Awaitable[None]]
) -> None:
    place = await hidden(people)
    member = place.room.member
    assert await told(member, place.channel_id) == []
    assert await lists(member, place) == ([], [place.room.channel_id])
    await change(place)
    await settled(place.room)
    assert await told(member, place.channel_id) == ["added", "deleted"]
    (added,) = [event for event in member.heard("channel_added") if event.params["channel"]["id"] == place.channel_id]
    (deleted,) = member.heard("channel_deleted", channel_id=place.channel_id)
    assert (added.params["scope"], deleted.params["scope"]) == (f"server:{place.room.server_id}",) * 2
    assert added.params["channel"]["category_id"] == place.category_id
    in_category = [
        event.rev for event in member.heard("category_added") if event.params["category"]["id"] == place.category_id
    ]
    assert in_category == [added.rev]
    assert [event.rev for event in member.heard("category_deleted", category_id=place.category_id)] == [deleted.rev]
    assert await lists(member, place) == ([], [place.room.channel_id])


async def test_what_is_said_in_a_hidden_channel_is_heard_from_its_sight_on(people: People) -> None:
    place = await hidden(people)
    member, scope = place.room.member, f"channel:{place.channel_id}"
    say = {"channel_id": place.channel_id}
    await place.owner("add_message", **say, content="before")
    await give_role(place, held=True)
    during = await place.owner("add_message", **say, content="during")
    await member.event("message_added", scope=scope)
    (added,) = [event for event in member.heard("channel_added") if event.params["channel"]["id"] == place.channel_id]
    assert (added.params["at"], added.params["channel"]["last_message_id"]) == (1, 1)
    page = await member.call("get_message_chunk", **say, amount=10, anchor=0, direction=False)
    assert [message["content"] for message in page["messages"]] == ["before", "during"]
    await give_role(place, held=False)
    await place.owner("add_message", **say, content="after")
    await settled(place.room)
    assert [event.params["message"]["id"] for event in member.heard("message_added", scope=scope)] == [during["id"]]
    with pytest.raises(RpcError, match="No such channel"):
        await member.call("get_message_chunk", **say, amount=10, anchor=0, direction=False)


async def test_a_hidden_channel_is_not_spoken_of(people: People) -> None:
    """Neither by events, nor by deltas, nor by what looks for it."""
    place = await hidden(people)
    member, before = place.room.member, len(place.room.member.received)
    head = (await member.call("get_server", server_id=place.room.server_id))["rev"]
    await place.owner("update_channel", channel_id=place.channel_id, changes={"name": "renamed", "description": "x"})
    await place.owner(
        "update_category", server_id=place.room.server_id, category_id=place.category_id, changes={"name": "x"}
    )
    listed = await member.call("get_server_channels", server_id=place.room.server_id, since=head)
    assert (listed["updated"], listed["deleted"], listed["categories"]) == ([], [], [])
    head = listed["rev"]
    await place.owner("delete_channel", channel_id=place.channel_id)
    await place.owner("delete_category", server_id=place.room.server_id, category_id=place.category_id)
    listed = await member.call("get_server_channels", server_id=place.room.server_id, since=head)
    assert listed.get("deleted", []) == []
    await settled(place.room)
    spoken = [str(item) for item in member.received[before:]]
    assert not [item for item in spoken if place.channel_id in item or place.category_id in item]


async def test_a_channel_may_be_both_moved_and_hidden(people: People) -> None:
    """Its category goes with it, and comes back with it."""
    place = await hidden(people)
    await give_role(place, held=True)
    await place.owner("update_channel", channel_id=place.channel_id, changes={"category_id": None})
    await settled(place.room)
    member = place.room.member
    (moved,) = member.heard("channel_updated", channel_id=place.channel_id)
    assert moved.params["changes"] == {"category_id": None}
    (gone,) = member.heard("category_deleted", category_id=place.category_id)
    assert (gone.rev, moved.params.get("more")) == (moved.rev, True)
    await place.owner("update_channel", channel_id=place.channel_id, changes={"category_id": place.category_id})
    await settled(place.room)
    assert await lists(member, place) == ([place.category_id], [place.room.channel_id, place.channel_id])
    assert len([e for e in member.heard("category_added") if e.params["category"]["id"] == place.category_id]) == 2


async def test_who_joins_and_leaves_is_told_by_its_own_scope_alone(people: People) -> None:
    place = await hidden(people)
    await give_role(place, held=True)
    await settled(place.room)
    member, seen = place.room.member, len(place.room.member.heard("channel_added"))
    await member.call("leave_server", server_id=place.room.server_id)
    await member.event("server_deleted", server_id=place.room.server_id)
    joined = await join(place.room.owner, member, place.room.server_id)
    assert joined["me"]["roles"] == []
    await settled(place.room)
    assert await told(member, place.channel_id) == ["added"]
    assert len(member.heard("channel_added")) == seen


async def test_a_kicked_member_hears_nothing_more(people: People) -> None:
    room = await people.room()
    await room.owner.call("delete_member", server_id=room.server_id, user_id=room.member_is.id)
    said = await room.owner.call("add_message", channel_id=room.channel_id, content="gone?")
    told = await room.member.event("server_deleted", server_id=room.server_id)
    assert told.params["why"] == "kicked"
    await room.owner.event("message_added", scope=f"channel:{room.channel_id}")
    assert not [e for e in room.member.heard("message_added") if e.params["message"]["id"] == said["id"]]


WITHOUT_WRITING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "editing another's": ("update_message", "theirs", {"content": "x"}),
    "editing nothing": ("update_message", "mine", {"content": "mine"}),
    "editing what is deleted": ("update_message", "gone", {"content": "x"}),
    "deleting another's": ("delete_message", "theirs", {}),
    "deleting twice": ("delete_message", "gone", {}),
    "reacting twice": ("add_reaction", "theirs", {"emoji": "👍"}),
    "taking back what is not there": ("delete_reaction", "mine", {"emoji": "👍"}),
    "answering what never was": ("add_message", "", {"content": "x", "reply_to": 99}),
    "reading what is read": ("update_read_state", "mine", {}),
    "reading a page": ("get_message_chunk", "", {"amount": 5, "anchor": 0, "direction": False}),
    "typing again": ("start_typing", "", {}),
}
"""What is answered by what is found alone: a method, the message, and what else it takes."""


@pytest.mark.parametrize("asked", WITHOUT_WRITING)
async def test_who_has_left_is_told_nothing_of_what_is_there(people: People, asked: str) -> None:
    """However well a service remembers them: neither that a message is there, nor whose it is."""
    room = await people.room()
    here = {"channel_id": room.channel_id}
    said = {text: (await room.member.call("add_message", **here, content=text))["id"] for text in ("mine", "gone")}
    said["theirs"] = (await room.owner.call("add_message", **here, content="theirs"))["id"]
    await room.member.call("delete_message", **here, message_id=said["gone"])
    await room.member.call("add_reaction", **here, message_id=said["theirs"], emoji="👍")
    await room.member.call("update_read_state", **here, message_id=said["theirs"])
    method, message, more = WITHOUT_WRITING[asked]
    params = {**here, **more, **({"message_id": said[message]} if message else {})}
    if method == "start_typing":
        await room.member.call(method, **params)
    await room.member.call("leave_server", server_id=room.server_id)
    with pytest.raises(RpcError, match="No such channel"):
        await room.member.call(method, **params)


@pytest.mark.protocol("delete_server", "server_deleted")
async def test_a_deleted_server_is_silent_at_once(people: People) -> None:
    room = await people.room()
    await room.owner.call("delete_server", server_id=room.server_id)
    for client in (room.owner, room.member):
        told = await client.event("server_deleted", server_id=room.server_id)
        assert told.params["why"] == "deleted"
        with pytest.raises(RpcError, match="No such"):
            await client.call("get_server", server_id=room.server_id)


async def test_what_changed_while_away_makes_the_server_stale_and_hidden_channels_gone(people: People) -> None:
    place = await hidden(people, new=True)
    await give_role(place, held=True)
    await settled(place.room)
    member, server = place.room.member, f"server:{place.room.server_id}"
    head = (await member.call("get_server", server_id=place.room.server_id))["rev"]
    page = {"amount": 10, "anchor": 0, "direction": False}
    channels = {f"channel:{each}": each for each in (place.channel_id, place.room.channel_id)}
    positions = {
        name: (await member.call("get_message_chunk", channel_id=each, **page))["rev"]
        for name, each in channels.items()
    }
    await member.close()
    await give_role(place, held=False)
    for gateway in (0, 1):
        client = await people.open(gateway)
        reply = await client.call("authenticate", token=place.room.member_is.token, resume={server: head, **positions})
        assert reply["gone"] == [f"channel:{place.channel_id}"]
        assert sorted(reply["stale"]) == sorted([server, f"channel:{place.room.channel_id}"])
        delta = await client.call("get_server_channels", server_id=place.room.server_id, since=head)
        assert delta["full"]


async def test_structure_that_changed_while_away_is_told(people: People) -> None:
    """Channels made, renamed, moved and deleted: the sight of nobody's rights changed, so all of it can be told."""
    room = await people.room(new=True)
    owner, in_server = room.owner.call, {"server_id": room.server_id}
    old = await owner("add_channel", **in_server, name="old")
    kept = await owner("add_channel", **in_server, name="kept")
    await settled(room)
    head = (await room.member.call("get_server", **in_server))["rev"]
    await room.member.close()
    category = await owner("add_category", **in_server, name="Attic")
    made = await owner("add_channel", **in_server, name="made", category_id=category["id"])
    await owner("update_channel", channel_id=kept["id"], changes={"name": "still kept", "category_id": category["id"]})
    await owner("delete_channel", channel_id=old["id"])
    passing = await owner("add_channel", **in_server, name="passing")
    await owner("delete_channel", channel_id=passing["id"])
    for gateway in (0, 1):
        client = await people.open(gateway)
        reply = await client.call("authenticate", token=room.member_is.token, resume={f"server:{room.server_id}": head})
        assert f"server:{room.server_id}" in reply["current"]
        await client.event("resumed")
        names = [
            (event.method, event.params.get("channel_id") or event.params.get("channel", {}).get("id"))
            for event in client.events
            if event.method.startswith("channel_")
        ]
        # What came and went is told with the first entry that was missed.
        assert names == [("channel_added", made["id"]), ("channel_deleted", old["id"]), ("channel_updated", kept["id"])]
        assert {event.params["category"]["id"] for event in client.heard("category_added")} == {category["id"]}


async def test_many_changes_of_sight_at_once_end_in_what_a_fresh_reply_shows(people: People) -> None:
    place = await hidden(people)
    await asyncio.gather(
        *(give_role(place, held=number % 2 == 0) for number in range(6)),
        *(administrate(place, held=number % 2 == 0) for number in range(6)),
        return_exceptions=True,
    )
    await settled(place.room)
    events = await told(place.room.member, place.channel_id)
    assert all(first != second for first, second in itertools.pairwise(events))
    _, channels = await lists(place.room.member, place)
    assert (events[-1:] == ["added"]) == (place.channel_id in channels)
    assert await general(place.room.member, place.room.server_id) == place.room.channel_id
