"""More that the users of `intrigues` do: reactions, typing, nicks and invites, and asking for what may be hidden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.rig import System
from tests.system.court import USERS, Frame, Step
from tests.system.intrigues import KINDS as INTRIGUES
from tests.system.intrigues import Intrigues

KINDS = (
    *INTRIGUES,
    *(["react"] * 2 + ["unreact"] * 3 + ["type"] * 6),
    *["look_at_reads", "look_at_messages", *["look_at_channel"] * 2, "look_at_channels"],
    *["rename_member", "rename_server", "invite", "peek"],
)

Sign = tuple[str, str]
"""A channel, and the user who types in it."""


class Signs:
    """Who may hear that somebody types: whoever saw the channel since. A sign that is long over permits nothing."""

    def __init__(self) -> None:
        self._shown: set[Sign] = set()
        self._permitted: set[tuple[int, Sign]] = set()
        self._permitted_before: set[tuple[int, Sign]] = set()

    def begin_anew(self) -> None:
        """Signs are not waited for: one of the last steps may still come during the next ones."""
        self._permitted_before, self._permitted = self._permitted, set()
        self._shown.clear()

    def show(self, sign: Sign) -> None:
        self._shown.add(sign)

    def seen(self, user: int, channels: Iterable[str]) -> None:
        visible = set(channels)
        self._permitted |= {(user, sign) for sign in self._shown if sign[0] in visible}

    def leaked(self, user: int, signs: Iterable[Sign]) -> set[Sign]:
        return {sign for sign in signs if (user, sign) not in self._permitted | self._permitted_before}


class Pryings(Intrigues):
    def __init__(self, system: System, directory: Path, proxies: Sequence[Proxy]) -> None:
        super().__init__(system, directory, proxies)
        self._signs = Signs()
        self._reactions: list[tuple[str, int, int, str]] = []
        self._ends: dict[str, int] = {}
        self._places: dict[tuple[int, str], int] = {}

    async def perform(self, steps: list[Step]) -> None:
        self._signs.begin_anew()
        await super().perform(steps)

    def _note_sight(self, before: dict[int, set[str]], stayed: set[int]) -> None:
        super()._note_sight(before, stayed)
        for user in USERS:
            # Who joins starts at the end of all channels, also of those that are hidden from them.
            everywhere = set(self._server.channels) if user in self._server.members and user not in stayed else set()
            for channel in (self._server.channels_of(user) - before[user]) | everywhere:
                self._has_read(user, channel)
            self._signs.seen(user, self._server.channels_of(user))
            self._words.seen(user, [self._id] if user in self._server.members else [])

    def _judge(self, user: int, frames: Sequence[Frame]) -> None:
        super()._judge(user, frames)
        signs = [
            (frame["params"]["channel_id"], frame["params"]["user_id"])
            for frame in frames
            if isinstance(frame, dict) and frame.get("method") == "typing_started"
        ]
        leaked = self._signs.leaked(user, signs)
        assert not leaked, f"user {user} heard that somebody types: {leaked}"

    # Reactions and typing.

    async def _react(self, step: Step) -> None:
        if (picked := self._pick(self._messages, step.target)) is None:
            return
        channel, message, _ = picked
        emoji = self._words.new(step.user)
        self._words.put(emoji, channel)
        named = {"channel_id": channel, "message_id": message, "emoji": emoji}
        if await self._try(step.user, "add_reaction", **named):
            self._reactions.append((channel, message, step.user, emoji))

    async def _unreact(self, step: Step) -> None:
        if (picked := self._pick(self._reactions, step.target)) is not None:
            channel, message, user, emoji = picked
            named = {"channel_id": channel, "message_id": message, "emoji": emoji}
            if await self._try(user, "delete_reaction", **named) is not None:
                self._reactions.remove(picked)

    async def _type(self, step: Step) -> None:
        if (channel := self._a_channel(step)) is not None:
            self._signs.show((channel, self._people[step.user].id))
            await self._try(step.user, "start_typing", channel_id=channel)

    # Asking for what may be hidden: it is answered to who may see it, and to nobody else.

    async def _look_at_reads(self, step: Step) -> None:
        await self._check_reads(step.user)

    async def _check_reads(self, user: int) -> None:
        """One has read up to where one was when one came to see it, and up to what one said oneself."""
        found = await self._clients[user].call("get_read_states")
        places = {state["channel_id"]: state["read_id"] for state in found["read_states"]}
        expected = {each: self._places.get((user, each), 0) for each in self._server.channels_of(user)}
        assert places == expected, f"where user {user} reads"

    def _said(self, user: int, channel: str, message: int) -> None:
        self._ends[channel] = message
        self._has_read(user, channel)

    def _has_read(self, user: int, channel: str) -> None:
        self._places[user, channel] = self._ends.get(channel, 0)

    async def _check(self) -> None:
        for user in USERS:
            await self._check_reads(user)
        await super()._check()

    async def _look_at_messages(self, step: Step) -> None:
        if (channel := self._a_channel(step)) is not None:
            since = {"since": step.other % 20} if step.other % 2 else {}
            named = {"channel_id": channel, "amount": 100, "anchor": 0, "direction": False, **since}
            self._answered(step, channel, await self._try(step.user, "get_message_chunk", **named))

    async def _look_at_channel(self, step: Step) -> None:
        if (channel := self._a_channel(step)) is not None:
            since = {"since": step.other % 100} if step.other % 2 else {}
            self._answered(step, channel, await self._try(step.user, "get_server_channel", channel_id=channel, **since))

    def _answered(self, step: Step, channel: str, found: object) -> None:
        sees = self._server.sees(step.user, channel)
        assert (found is not None) == sees, f"user {step.user} is answered about {channel}: {found}"

    async def _look_at_channels(self, step: Step) -> None:
        """Whatever was changed since, by whatever revision: nothing but what one sees now is named as being there."""
        found = await self._try(step.user, "get_server_channels", server_id=self._id, since=step.other % 100)
        assert (found is not None) == (step.user in self._server.members)
        if found is None:
            return
        listed = (
            found["updated"] if not found["full"] else [c for each in found["categories"] for c in each["channels"]]
        )
        unseen = {channel["id"] for channel in listed} - self._server.channels_of(step.user)
        assert not unseen, f"user {step.user} is told of {unseen}"

    # Names and invites.

    async def _rename_member(self, step: Step) -> None:
        word, user = self._words.new(step.user), step.target % 4
        self._words.put(word, self._server.everyone)
        await self._change(step.user, "update_member", user_id=self._people[user].id, changes={"nick": word})

    async def _rename_server(self, step: Step) -> None:
        """The server's name is seen by who looks at it by an invite, too."""
        word = self._words.new(step.user)
        self._words.put(word, self._id)
        await self._change(step.user, "update_server", changes={"name": word})

    async def _invite(self, step: Step) -> None:
        made = await self._try(step.user, "add_invite", server_id=self._id)
        if made:
            self._code = made["code"]

    async def _peek(self, step: Step) -> None:
        found = await self._try(step.user, "get_server", invite=self._code)
        assert found is None or step.user not in self._server.banned, f"user {step.user} is banned, and sees {found}"
        if found:
            self._words.seen(step.user, [self._id])
