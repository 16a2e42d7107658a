"""More that the users of `pryings` do: they say how they are, ask how others are, and make friends and end it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.app import PATIENCE
from tests.faults.proxy import Proxy
from tests.rig import System
from tests.system.court import USERS, Device, Frame, Step
from tests.system.moods import Moods, glimpses
from tests.system.pryings import KINDS as PRYINGS
from tests.system.pryings import Pryings
from tests.view import View

KINDS = (
    *PRYINGS,
    *(["choose_status"] * 4 + ["say_how_one_is"] * 2),
    *["look_at_user", "look_at_users", "look_at_members", "look_at_friends", "look_at_bans"],
    *["mention"] * 2,
    *(["ask_friend"] * 2 + ["befriend"] * 2 + ["unfriend", "unfriend", "block"]),
)
STATUSES = ("online", "idle", "dnd", "invisible")


class Courtesies(Pryings):
    def __init__(self, system: System, directory: Path, proxies: Sequence[Proxy]) -> None:
        super().__init__(system, directory, proxies)
        self._moods = Moods()
        self._friends: set[frozenset[int]] = set()
        self._asked: list[tuple[int, int]] = []

    async def begin(self) -> None:
        """All know each other from the beginning, so that what is told of one may wrongly reach everybody."""
        await super().begin()
        for client in self._clients:
            await client.call("get_users", users=dict.fromkeys(self._ids, 0))
        self._check_heard()

    @property
    def _ids(self) -> list[str]:
        return [person.id for person in self._people]

    def _are_acquainted(self, one: int, other: int) -> bool:
        return {one, other} <= self._server.members.keys() or frozenset({one, other}) in self._friends

    # What must hold.

    def _note_sight(self, before: dict[int, set[str]], stayed: set[int]) -> None:
        super()._note_sight(before, stayed)
        for one in USERS:
            for other in USERS:
                if self._are_acquainted(one, other):
                    self._moods.seen(self._ids[one], self._ids[other])

    def _judge(self, user: int, frames: Sequence[Frame]) -> None:
        super()._judge(user, frames)
        leaked = self._moods.leaked(self._ids[user], glimpses(list(frames)))
        assert not leaked, f"user {user} saw {leaked}"
        empty = [frame for frame in frames if _tells_nothing(frame)]
        assert not empty, f"user {user} heard that something changed: {empty}"

    def _judge_answer(self, user: int, answer: Frame) -> None:
        """Every status in it is as of this moment."""
        for glimpse in glimpses(answer):
            shown = self._shown(user, self._ids.index(glimpse.user_id))
            assert glimpse.status == shown, f"user {user} was answered with {glimpse}, not {shown}"

    async def _must_agree(self, device: Device, view: View) -> None:
        """The cache has the statuses too, of all whose status one may see. Of others it may have an old one."""
        await super()._must_agree(device, view)
        shown = {
            self._ids[other]: self._shown(device.user, other)
            for other in USERS
            if self._are_acquainted(device.user, other) and other != device.user
        }
        deadline = time.monotonic() + PATIENCE
        while (cached := _statuses(device, shown)) != shown:
            assert time.monotonic() < deadline, f"user {device.user} has {cached}, and may see {shown}"
            await asyncio.sleep(0.01)

    def _shown(self, user: int, other: int) -> str:
        """Which status of another a user sees now."""
        if user == other:
            return self._moods.choice(self._ids[other])
        return self._moods.shown(self._ids[other]) if self._are_acquainted(user, other) else "offline"

    # Saying how one is.

    async def _choose_status(self, step: Step) -> None:
        await self._say_of_oneself(step, {"status": STATUSES[step.other % len(STATUSES)]})

    async def _say_how_one_is(self, step: Step) -> None:
        """In words that everybody may read, who holds the profile; sometimes with a status, that fewer see."""
        said = {"status_text": self._words.new(step.user)}
        if step.other % 2:
            said["status"] = STATUSES[step.target % len(STATUSES)]
        for user in USERS:
            self._words.put(said["status_text"], self._ids[step.user])
            self._words.seen(user, [self._ids[step.user]])
        await self._say_of_oneself(step, said)

    async def _say_of_oneself(self, step: Step, said: dict[str, str]) -> None:
        after = await self._try(step.user, "update_user", changes=said)
        self._moods.choose(after["id"], after["rev"], after["status"])

    async def _mention(self, step: Step) -> None:
        """Whoever is mentioned stands beside the message, a member or not."""
        if (channel := self._a_channel(step)) is not None:
            word = self._words.new(step.user)
            self._words.put(word, channel)
            content = f"{word} <@{self._ids[step.other % 4]}>"
            if said := await self._try(step.user, "add_message", channel_id=channel, content=content):
                self._said(step.user, channel, said["id"])

    # Asking how others are: every status in an answer is compared.

    async def _look_at_user(self, step: Step) -> None:
        since = {"since": step.other % 20} if step.other % 2 else {}
        await self._try(step.user, "get_user", user_id=self._ids[step.target % 4], **since)

    async def _look_at_users(self, step: Step) -> None:
        found = await self._try(
            step.user, "get_users", users=dict.fromkeys(self._ids, step.other % 2 * step.target % 20)
        )
        assert step.other % 2 or len(found["users"]) == len(self._ids)

    async def _look_at_members(self, step: Step) -> None:
        """Who is online stands in a filter, too."""
        online = bool(step.other % 2)
        named = {"server_id": self._id, "amount": 100, "filter": {"online": online}}
        found = await self._try(step.user, "get_server_members", **named)
        members = self._server.members
        assert (found is not None) == (step.user in members), f"user {step.user} is answered about members: {found}"
        if found is not None:
            listed = {self._ids.index(member["user"]["id"]) for member in found["members"]}
            wanted = {user for user in members if (self._moods.shown(self._ids[user]) != "offline") is online}
            assert listed == wanted, f"user {step.user} is told that {listed} are {online=}"

    async def _look_at_bans(self, step: Step) -> None:
        await self._try(step.user, "get_bans", server_id=self._id, amount=100)

    async def _look_at_friends(self, step: Step) -> None:
        found = await self._try(step.user, "get_friends")
        listed = {self._ids.index(each["user"]["id"]) for each in found["friends"] if each["state"] == "friend"}
        friends = {other for other in USERS if frozenset({step.user, other}) in self._friends}
        assert listed == friends, f"the friends of user {step.user}"

    # Friends.

    async def _ask_friend(self, step: Step) -> None:
        other = step.target % 4
        if found := await self._try(step.user, "add_friend", user_id=self._ids[other]):
            self._asked.append((step.user, other))
            self._become_friends(step.user, found)

    async def _befriend(self, step: Step) -> None:
        """Whoever was once asked says yes, if there is still anything to say yes to."""
        if (picked := self._pick(self._asked, step.target)) is not None:
            asker, user = picked
            if found := await self._try(user, "update_friend", user_id=self._ids[asker], state="friend"):
                self._become_friends(user, found)

    def _become_friends(self, user: int, found: dict[str, Any]) -> None:
        if found["state"] == "friend":
            self._friends.add(frozenset({user, self._ids.index(found["user"]["id"])}))

    async def _unfriend(self, step: Step) -> None:
        other = step.target % 4
        if await self._try(step.user, "delete_friend", user_id=self._ids[other]) is not None:
            self._friends.discard(frozenset({step.user, other}))

    async def _block(self, step: Step) -> None:
        other = step.target % 4
        if await self._try(step.user, "update_friend", user_id=self._ids[other], state="blocked"):
            self._friends.discard(frozenset({step.user, other}))


def _statuses(device: Device, user_ids: Iterable[str]) -> dict[str, str | None]:
    users = {user_id: device.app.cache.user(user_id) for user_id in user_ids}
    return {user_id: user["status"] if user else None for user_id, user in users.items()}


def _tells_nothing(frame: Frame) -> bool:
    return isinstance(frame, dict) and frame.get("method") == "user_changed" and not frame["params"]["changes"]
