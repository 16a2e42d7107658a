"""Whoever gains sight starts at the last message, however it came about and however many they are.

The starts of many are written behind the change. Nobody sees that: here it is held up, and each place is looked at
before it begins and after it is through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import encode

from shared.cascade import cascade
from shared.ids import new_id
from shared.reading_starts import MAX_PENDING, MAX_PENDING_BYTES, START_READING
from tests.client import Client
from tests.rig import People, Person, Room, System, eventually, give, join, promote, refused

VIEW = "view_channel"
Document = dict[str, Any]


@dataclass(frozen=True)
class Gallery:
    """A room with a second channel, in which five messages name the member, who has the role `guest`.

    Carl, a member too, has the role `keeper`, and has read two of them.
    """

    room: Room
    system: System
    channel_id: str
    everyone: str
    guest: str
    keeper: str
    carl: Client
    carl_is: Person

    async def rules(self, role_id: str, *rules: str) -> None:
        named = {"server_id": self.room.server_id, "role_id": role_id}
        await self.room.owner.call("update_role", **named, changes={"rules": [*rules]})

    async def overwrites(self, *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> None:
        """Whom the channel allows and denies to see it."""
        roles = [{"role_id": each, "allow": [VIEW], "deny": []} for each in allow]
        roles += [{"role_id": each, "allow": [], "deny": [VIEW]} for each in deny]
        await self.room.owner.call("update_channel", channel_id=self.channel_id, changes={"roles": roles})

    async def delete_role(self, role_id: str) -> None:
        await self.room.owner.call("delete_role", server_id=self.room.server_id, role_id=role_id)

    async def hand_over(self) -> None:
        """Who owned it still sees it by a role."""
        named = {"server_id": self.room.server_id}
        changes: Document = {"roles": [self.keeper]}
        await self.room.owner.call("update_member", **named, user_id=self.room.owner_is.id, changes=changes)
        await self.room.owner.call("update_server", **named, changes={"owner_id": self.room.member_is.id})

    async def say(self, client: Client | None = None) -> None:
        """A message that names the member."""
        content = f"<@{self.room.member_is.id}>"
        await (client or self.room.owner).call("add_message", channel_id=self.channel_id, content=content)

    async def place(self, client: Client) -> tuple[int, int] | None:
        """What one has read, and the mentions after it; the same by each way to ask. None: one doesn't see it."""
        found = await client.call("get_read_states", server_id=self.room.server_id)
        states = {state["channel_id"]: state for state in found["read_states"]}
        if (state := states.get(self.channel_id)) is None:
            return None
        assert state == await client.call("update_read_state", channel_id=self.channel_id, message_id=1)
        return state["read_id"], state["mentions"]

    def pending(self) -> int:
        return self.system.db.cascades.count_documents({"about.server_id": self.room.server_id})

    def written(self, person: Person) -> int:
        """Where the person starts, as it is stored; 0 where it is not."""
        named = {"server_id": self.room.server_id, "user_id": person.id}
        stored = self.system.db.reading_starts.find_one(named) or {"channels": {}}
        return int(stored["channels"].get(self.channel_id, 0))

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Meanwhile nobody works off what is left; afterwards it is all done."""
        leases, mine = self.system.db.leases, {"_id": "cascades:guilds"}
        later = datetime.now(UTC) + timedelta(hours=1)
        leases.update_one(mine, {"$set": {"holder": "test", "until": later}}, upsert=True)
        try:
            yield
        finally:
            leases.update_one(mine, {"$set": {"until": datetime.fromtimestamp(0, UTC)}})

    def leave_more(self, number: int, size: int = 0) -> None:
        """As many again as the one that is pending, each with more channels that nobody sees, for some such size."""
        (left,) = self.system.db.cascades.find({"kind": START_READING, "about.server_id": self.room.server_id})
        about = left["about"]
        (channel,) = about["channels"].values()
        while len(encode(about)) < size:
            about["channels"] |= {new_id(): channel | {"overwrites": [{}]} for _ in range(50)}
        copies = [cascade("guilds", START_READING, **about) for _ in range(number)]
        self.system.db.cascades.insert_many(copies)

    async def done(self) -> None:
        await eventually(lambda: not self.pending(), "the starts are written")


async def gallery(system: System, people: People) -> Gallery:
    room = await people.room()
    carl_is = await people.anybody("carl")
    carl = await people.connect(carl_is)
    await join(room.owner, carl, room.server_id)
    (everyone,) = (await room.owner.call("get_server_roles", server_id=room.server_id))["roles"]
    named = {"server_id": room.server_id, "name": "role", "color": "", "rules": []}
    keeper = (await room.owner.call("add_role", **named))["id"]
    changes = {"roles": [keeper]}
    await room.owner.call("update_member", server_id=room.server_id, user_id=carl_is.id, changes=changes)
    guest = (await promote(room))["id"]
    channel_id = (await room.owner.call("add_channel", server_id=room.server_id, name="gallery"))["id"]
    made = Gallery(room, system, channel_id, everyone["id"], guest, keeper, carl, carl_is)
    for _ in range(5):
        await made.say()
    await carl.call("update_read_state", channel_id=channel_id, message_id=2)
    return made


async def everyones_rules(at: Gallery) -> None:
    await at.rules(at.everyone, VIEW)


async def a_roles_rules(at: Gallery) -> None:
    await at.rules(at.guest, VIEW)


async def administrator(at: Gallery) -> None:
    await at.rules(at.guest, "administrator")


async def allowed_to_everyone(at: Gallery) -> None:
    await at.overwrites(allow=(at.keeper, at.everyone))


async def allowed_to_a_role(at: Gallery) -> None:
    await at.overwrites(allow=(at.keeper, at.guest))


async def denied_no_longer(at: Gallery) -> None:
    await at.rules(at.everyone, VIEW)
    assert await at.place(at.room.member) is None, "the channel still denies it"
    await at.overwrites(allow=(at.keeper,))


async def who_is_denied_goes(at: Gallery) -> None:
    await at.overwrites(deny=(at.guest,), allow=(at.keeper, at.everyone))
    assert await at.place(at.room.member) is None, "the channel denies it to the role"
    await at.delete_role(at.guest)


async def the_owner(at: Gallery) -> None:
    await at.hand_over()


BY_RULES = (everyones_rules, a_roles_rules)
BEHIND = (administrator, allowed_to_everyone, allowed_to_a_role, denied_no_longer, who_is_denied_goes)


@pytest.mark.protocol("get_read_states", "update_role", "update_channel", "delete_role", "update_server")
@pytest.mark.parametrize("widen", [*BY_RULES, *BEHIND, the_owner])
async def test_who_gains_sight_starts_there_and_others_keep_their_place(
    system: System, people: People, widen: Callable[[Gallery], Any]
) -> None:
    at = await gallery(system, people)
    await at.room.member.call("update_read_state", channel_id=at.channel_id, message_id=1)
    await at.rules(at.keeper, VIEW, "send_messages")
    await at.overwrites(allow=(at.keeper,), deny=() if widen in BY_RULES else (at.everyone,))
    await at.rules(at.everyone)
    assert await at.place(at.room.member) is None
    assert await at.place(at.carl) == (2, 0)
    await at.done()
    with at.held_up():
        await widen(at)
        assert bool(at.pending()) == (widen is not the_owner)
        assert (await at.place(at.room.member), await at.place(at.carl)) == ((5, 0), (2, 0))
        await at.say()
        assert (await at.place(at.room.member), await at.place(at.carl)) == ((5, 1), (2, 0))
        assert at.written(at.room.member_is) == (5 if widen is the_owner else 0)
    await at.done()
    assert (at.written(at.room.member_is), at.written(at.carl_is)) == (5, 0)
    assert (await at.place(at.room.member), await at.place(at.carl)) == ((5, 1), (2, 0))


async def test_where_nobody_gains_sight_nothing_is_left_to_do(system: System, people: People) -> None:
    at = await gallery(system, people)
    with at.held_up():
        await at.rules(at.guest, VIEW, "send_messages")  # who has it sees all by what everyone may
        await at.overwrites(deny=(at.everyone,), allow=(at.keeper,))
        await at.rules(at.everyone, "send_messages")
        await at.rules(at.guest)
        empty = (await at.room.owner.call("add_channel", server_id=at.room.server_id, name="empty"))["id"]
        for roles in ([{"role_id": at.guest, "allow": [VIEW], "deny": []}], []):
            await at.room.owner.call("update_channel", channel_id=empty, changes={"roles": roles})
        assert at.pending() == 0
        assert await at.place(at.carl) == (2, 0)


# What happens one after the other, before the first of it is worked off.


async def test_of_two_ways_into_sight_the_first_counts(system: System, people: People) -> None:
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        await at.overwrites(deny=(at.everyone,), allow=(at.guest,))
        await at.say()
        await at.rules(at.guest, "administrator")
        await at.overwrites()
        assert at.pending() == 3
        assert await at.place(at.room.member) == (5, 1)
    await at.done()
    assert await at.place(at.room.member) == (5, 1)


async def test_who_loses_sight_meanwhile_and_gains_it_again_starts_later(system: System, people: People) -> None:
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        for _ in range(2):
            await at.overwrites(deny=(at.everyone,), allow=(at.guest,))
            await at.overwrites(deny=(at.everyone,))
            await at.say()
        await at.overwrites(deny=(at.everyone,), allow=(at.guest,))
        assert await at.place(at.room.member) == (7, 0)
    await at.done()
    assert await at.place(at.room.member) == (7, 0)


@pytest.mark.parametrize("then", ["another role", "no role", "left"])
async def test_what_is_pending_counts_by_the_roles_of_then(system: System, people: People, then: str) -> None:
    """The member came to see it by a role that they lose before anything is written."""
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,), allow=(at.keeper,))
    await at.done()
    with at.held_up():
        await at.overwrites(deny=(at.everyone,), allow=(at.keeper, at.guest))
        await at.say()
        match then:
            case "another role":
                await give(at.room, [at.keeper])
            case "no role":
                await give(at.room, [])
                await at.overwrites()
            case _:
                await at.room.member.call("leave_server", server_id=at.room.server_id)
                await join(at.room.owner, at.room.member, at.room.server_id)
                await at.overwrites()
        expected = (6, 0) if then in {"no role", "left"} else (5, 1)
        assert await at.place(at.room.member) == expected
    await at.done()
    assert await at.place(at.room.member) == expected


async def test_a_role_is_taken_away_only_when_it_counts_no_more(system: System, people: People) -> None:
    """The member came to see it by a deleted role before they would have by another; it is taken from them first."""
    at = await gallery(system, people)
    other = (await promote(at.room))["id"]
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        await at.overwrites(deny=(at.everyone,), allow=(at.guest,))
        await at.say()
        await at.overwrites(deny=(at.everyone,), allow=(at.guest, other))
        await at.delete_role(at.guest)
        assert await at.place(at.room.member) == (5, 1)
        starts = {"kind": START_READING, "about.server_id": at.room.server_id}
        soon = datetime.now(UTC) + timedelta(seconds=2)
        system.db.cascades.update_many(starts, {"$set": {"due": soon}})
    await eventually(lambda: at.pending() == 2, "it was taken from all")
    assert await at.place(at.room.member) == (5, 1)
    await at.done()
    assert await at.place(at.room.member) == (5, 1)


async def test_who_saw_it_by_another_role_keeps_their_place(system: System, people: People) -> None:
    """Carl sees it by one role, and then by another, which came to see it meanwhile."""
    at = await gallery(system, people)
    named = {"server_id": at.room.server_id, "user_id": at.carl_is.id}
    await at.overwrites(deny=(at.everyone,), allow=(at.keeper,))
    with at.held_up():
        await at.overwrites(deny=(at.everyone,), allow=(at.keeper, at.guest))
        await at.room.owner.call("update_member", **named, changes={"roles": [at.guest]})
        assert await at.place(at.carl) == (2, 0)
    await at.done()
    assert await at.place(at.carl) == (2, 0)


async def test_what_one_says_is_read(system: System, people: People) -> None:
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        await at.overwrites()
        await at.say(at.room.member)
        assert await at.place(at.room.member) == (6, 0)
        await at.say()
    await at.done()
    assert await at.place(at.room.member) == (6, 1)


@pytest.mark.parametrize(("number", "size"), [(MAX_PENDING - 1, 0), (3, MAX_PENDING_BYTES // 3)])
async def test_no_more_is_pending_than_readers_can_reckon_with(
    system: System, people: People, number: int, size: int
) -> None:
    """Neither in number nor in weight."""
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        await at.overwrites()
        await at.overwrites(deny=(at.everyone,))
        at.leave_more(number, size)
        refusal = await refused(at.overwrites())
        assert (refusal.reason, refusal.data["retry_after_ms"]) == ("rate_limited", 1000)
        assert await at.place(at.room.member) is None, "nothing was changed"
        await at.rules(at.everyone)
    await at.done()
    await at.overwrites(allow=(at.everyone,))
    assert await at.place(at.room.member) == (5, 0)


async def test_with_less_than_that_pending_one_more_may_be(system: System, people: People) -> None:
    at = await gallery(system, people)
    await at.overwrites(deny=(at.everyone,))
    with at.held_up():
        await at.overwrites()
        await at.overwrites(deny=(at.everyone,))
        at.leave_more(2, MAX_PENDING_BYTES // 3)
        await at.overwrites()
        assert at.pending() == 4
        assert await at.place(at.room.member) == (5, 0)
    await at.done()


async def test_what_is_pending_in_several_servers_counts_in_one_reply(system: System, people: People) -> None:
    """Also for who has it settled in one of them."""
    one, other = await gallery(system, people), await gallery(system, people)
    await join(other.room.owner, one.room.member, other.room.server_id)
    with one.held_up():
        for at in (one, other):
            await at.rules(at.everyone)
            await at.say()
            await at.rules(at.everyone, VIEW)
        assert (one.pending(), other.pending()) == (1, 1)
        states = (await one.room.member.call("get_read_states"))["read_states"]
        placed = {state["channel_id"]: (state["read_id"], state["mentions"]) for state in states}
        assert (placed[one.channel_id], placed[other.channel_id]) == ((6, 0), (6, 0))
    for at in (one, other):
        await at.done()
