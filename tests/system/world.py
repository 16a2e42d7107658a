"""The people of the property test: what they do, what was acknowledged to them, and that everybody agrees on it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from guildwire import Client, Disconnected, Refused
from guildwire.cache.guilds import SERVERS
from guildwire.cache.messages import MESSAGES

from tests.app import fresh_sight
from tests.rig import People, Person, System
from tests.system.acknowledged import Message, Said, Server
from tests.system.devices import DEVICES, Devices, Step
from tests.view import View

PAIRS = {
    ("None", "None"),
    ("friend", "friend"),
    ("incoming", "outgoing"),
    ("blocked", "blocked_by"),
    ("blocked", "blocked"),
}
"""What two users can be to each other."""

MOST_SERVERS, MOST_CHANNELS = 3, 3


@dataclass
class World:
    """The users, their devices, and what has been acknowledged to them."""

    system: System
    directory: Path
    people: list[Person] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    messages: dict[tuple[str, int], Message] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    moving: set[tuple[int, str]] = field(default_factory=set)
    """Who joins or leaves which server in the steps under way."""
    deleting: set[tuple[str, int]] = field(default_factory=set)
    """The messages that the steps under way would delete."""
    blocking: set[frozenset[str]] = field(default_factory=set)
    """Pairs of whom one blocks the other, or would in the steps under way."""
    restarting: bool = False
    """In the steps under way."""
    views: list[View] = field(default_factory=list)
    """What each user saw when it was last read; anew whenever something but a `get_*` has succeeded since."""
    counter: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.devices = Devices(self.system, self.directory)

    async def begin(self) -> None:
        """The users, all their devices, and one server of the first two users."""
        registering = People(self.system)
        self.people = await registering.several(*["someone"] * (1 + DEVICES[-1][0]))
        await registering.close()
        await self.devices.begin(self.people)
        await self.perform([Step("add_server", 0, 0, "first")])
        await self.perform([Step("join", 2, 0, "")])

    async def everybody_comes_back(self) -> None:
        while self.devices.away:
            await self.perform([Step("come", 0, 0, "")])

    async def end(self) -> None:
        await self.devices.end()

    # Steps. Each picks what it is about before its first await: before any other step of the same moment has an effect.

    async def perform(self, steps: list[Step]) -> None:
        """The steps, all at once; then everybody must agree."""
        steps = [step for step in map(self.able, steps) if step]
        self.moving = {(self.user(step), self.pick_server(step).id) for step in steps if step.kind in {"join", "leave"}}
        self.restarting = any(step.kind == "restart" for step in steps)
        self.blocking = {frozenset((self.me(step), self.other(step))) for step in steps if step.kind == "block"}
        for person, view in zip(self.people, self.views, strict=False):
            blocked = (known for known, friend in view.snapshot["friends"].items() if friend["state"] == "blocked")
            self.blocking |= {frozenset((person.id, each)) for each in blocked}
        targets = [self.pick_message(step) for step in steps if step.kind == "delete"]
        self.deleting = {message.key for message in targets if message}
        async with asyncio.timeout(60):
            if [step.kind for step in steps] == ["come"]:
                await self.devices.come_alone(steps[0], self.views)
            else:
                await asyncio.gather(*(self.do(step) for step in steps))
        await self.devices.after()
        await self.check()

    def able(self, step: Step) -> Step | None:
        """The step as a device does it that is here; None if its user has none."""
        if hasattr(self.devices, step.kind):
            return step
        number = self.devices.present(step.device)
        return None if number is None else replace(step, device=number)

    async def do(self, step: Step) -> None:
        await getattr(self.devices if hasattr(self.devices, step.kind) else self, step.kind)(step)

    def client(self, step: Step) -> Client:
        return self.devices.apps[step.device].client

    def user(self, step: Step) -> int:
        return DEVICES[step.device][0]

    def pick_server(self, step: Step) -> Server:
        return self.servers[step.target % len(self.servers)]

    def pick_channel(self, step: Step) -> str:
        every = [channel for server in self.servers for channel in server.channels]
        return every[step.target % len(every)]

    def pick_message(self, step: Step) -> Message | None:
        """One of the last dozen."""
        every = list(self.messages.values())
        return every[-1 - step.target % len(every)] if every else None

    def server_of(self, channel_id: str) -> Server:
        return next(server for server in self.servers if channel_id in server.channels)

    async def ask(self, step: Step, method: str, **params: Any) -> tuple[Any, str]:
        """The result, or the reason there is none."""
        try:
            result = await self.client(step).call(method, params)
        except Refused as error:
            return None, error.reason
        if not method.startswith("get_"):
            self.views.clear()
        return result, ""

    def expect(self, step: Step, server: Server, reason: str, *due: str) -> None:
        """Members get what is due, a result (``""``) or a reason; others `not_found`; who joins or leaves, either."""
        moving = (self.user(step), server.id) in self.moving
        allowed = set(due) if moving or self.user(step) in server.members else set()
        if moving or self.user(step) not in server.members:
            allowed.add("not_found")
        assert reason in allowed, f"{step} got {reason or 'a result'}, not one of {allowed}"

    async def add_server(self, step: Step) -> None:
        if len(self.servers) >= MOST_SERVERS:
            return
        made, reason = await self.ask(step, "add_server", name=f"server {step.text}")
        assert not reason
        invite = await self.client(step).add_invite(made["id"])
        listed = await self.client(step).get_server_channels(made["id"])
        channels = [channel["id"] for channel in listed["categories"][0]["channels"]]
        self.servers.append(Server(made["id"], self.user(step), invite["code"], {self.user(step)}, channels))

    async def add_channel(self, step: Step) -> None:
        server = self.pick_server(step)
        if len(server.channels) >= MOST_CHANNELS:
            return
        made, reason = await self.ask(step, "add_channel", server_id=server.id, name=f"channel {step.text}")
        self.expect(step, server, reason, "" if self.user(step) == server.owner else "forbidden")
        if made:
            server.channels.append(made["id"])

    async def join(self, step: Step) -> None:
        server = self.pick_server(step)
        joined, reason = await self.ask(step, "join_server", invite=server.invite)
        assert not reason
        assert joined["id"] == server.id
        server.members.add(self.user(step))

    async def leave(self, step: Step) -> None:
        server, was_member = self.pick_server(step), self.user(step) in self.pick_server(step).members
        _, reason = await self.ask(step, "leave_server", server_id=server.id)
        if self.user(step) == server.owner:
            assert reason == "conflict"
            return
        # Leaving twice succeeds; who never was a member may be told that there is no such server.
        assert not reason or (reason == "not_found" and not was_member)
        server.members.discard(self.user(step))

    async def say(self, step: Step) -> None:
        await self.add_message(step, self.pick_channel(step), f"{next(self.counter)} {step.text}")

    async def say_twice(self, step: Step) -> None:
        """The same nonce from all the user's devices at once, as a retry that overtakes: one message."""
        channel_id, content = self.pick_channel(step), f"{next(self.counter)} {step.text}"
        nonce = f"n{next(self.counter)}"
        mine = [number for number in self.devices.apps if DEVICES[number][0] == self.user(step)]
        each = [Step(step.kind, number, step.target, step.text) for number in mine] * 2
        ids = await asyncio.gather(*(self.add_message(one, channel_id, content, nonce) for one in each))
        assert len(set(ids) - {None}) <= 1, f"{nonce} made the messages {ids}"

    async def say_again(self, step: Step) -> None:
        """A nonce used before, from any device of its user: the first outcome, whatever became of the message."""
        mine = [said for said in self.said if said.user == self.user(step)]
        if not mine:
            return
        said = mine[step.target % len(mine)]
        params = {"channel_id": said.channel_id, "content": "something else", "nonce": said.nonce}
        result, reason = await self.ask(step, "add_message", **params)
        if result:
            assert (result["id"], result["content"]) == (said.id, said.content)
        else:
            self.expect(step, self.server_of(said.channel_id), reason, "")

    async def say_many(self, step: Step) -> None:
        """What one connection sends about one channel takes effect in its order; a retry may come later."""
        channel_id = self.pick_channel(step)
        contents = [f"{next(self.counter)} {step.text}" for _ in range(4)]
        ids = await asyncio.gather(*(self.add_message(step, channel_id, content) for content in contents))
        said = [number for number in ids if number is not None]
        assert said == sorted(said) or self.restarting

    async def add_message(self, step: Step, channel_id: str, content: str, nonce: str = "") -> int | None:
        nonce = nonce or f"n{next(self.counter)}"
        params = {"channel_id": channel_id, "content": content, "nonce": nonce}
        result, reason = await self.ask(step, "add_message", **params)
        self.expect(step, self.server_of(channel_id), reason, "")
        if result is None:
            return None
        assert result["content"] == content
        self.remember(step, result)
        self.said.append(Said(self.user(step), channel_id, content, nonce, result["id"]))
        return int(result["id"])

    def remember(self, step: Step, result: dict[str, Any]) -> None:
        """Takes over a message as it was acknowledged, unless a later state of it was."""
        self.views.clear()
        key = (result["channel_id"], result["id"])
        known = self.messages.setdefault(key, Message(key, self.user(step), result["content"], result["rev"]))
        if result["rev"] > known.rev:
            known.content, known.rev = result["content"], result["rev"]

    async def edit(self, step: Step) -> None:
        if (message := self.pick_message(step)) is None:
            return
        mine, was_deleted = message.author == self.user(step), message.deleted
        ids = {"channel_id": message.key[0], "message_id": message.key[1]}
        result, reason = await self.ask(step, "update_message", **ids, content=f"{next(self.counter)} {step.text}")
        due = {"not_found"} if was_deleted else {"" if mine else "forbidden"}
        if message.key in self.deleting:
            due.add("not_found")
        self.expect(step, self.server_of(message.key[0]), reason, *due)
        if result:
            self.remember(step, result)

    async def delete(self, step: Step) -> None:
        """Deleting twice succeeds for who may delete at all; others may hear that it is gone."""
        if (message := self.pick_message(step)) is None:
            return
        server, was_deleted = self.server_of(message.key[0]), message.deleted
        allowed = self.user(step) in {message.author, server.owner}
        ids = {"channel_id": message.key[0], "message_id": message.key[1]}
        result, reason = await self.ask(step, "delete_message", **ids)
        if allowed:
            self.expect(step, server, reason, "")
        elif was_deleted or message.key in self.deleting:
            self.expect(step, server, reason, "", "forbidden", "not_found")
        else:
            self.expect(step, server, reason, "forbidden")
        message.deleted = message.deleted or (allowed and result is not None)

    async def react(self, step: Step) -> None:
        await self.change_reaction(step, "add_reaction")

    async def unreact(self, step: Step) -> None:
        await self.change_reaction(step, "delete_reaction")

    async def change_reaction(self, step: Step, method: str) -> None:
        """One of a few kinds, so that many meet."""
        if (message := self.pick_message(step)) is None:
            return
        was_deleted, ids = message.deleted, {"channel_id": message.key[0], "message_id": message.key[1]}
        _, reason = await self.ask(step, method, **ids, emoji="☕🎉👍"[step.target % 3])
        due = {"not_found"} if was_deleted and method == "add_reaction" else {""}
        if message.key in self.deleting:
            due |= {"", "not_found"}
        self.expect(step, self.server_of(message.key[0]), reason, *due)

    async def direct(self, step: Step) -> None:
        """Opens a channel with one or both of the others, and mostly writes into it: as far as they share a server."""
        others = [person.id for number, person in enumerate(self.people) if number != self.user(step)]
        wanted = others if step.target % 3 == 2 else [others[step.target % 3]]
        made, reason = await self.ask(step, "add_direct_channel", user_ids=wanted, nonce=f"n{next(self.counter)}")
        assert reason in {"", "forbidden"}
        if made and step.target % 4:
            said = {"channel_id": made["id"], "content": step.text or "hi", "nonce": f"n{next(self.counter)}"}
            _, reason = await self.ask(step, "add_message", **said)
            due = {"", "not_found"}  # another device of mine may have left it
            if frozenset((self.me(step), *wanted)) in self.blocking:
                due.add("forbidden")
            assert reason in due

    async def leave_direct(self, step: Step) -> None:
        if not (held := sorted(self.client(step).cache.direct_channels)):
            return
        _, reason = await self.ask(step, "leave_direct_channel", channel_id=held[step.target % len(held)])
        assert not reason

    async def read(self, step: Step) -> None:
        """Pages and lists in the middle of it all, with a `since`; the cache takes them as any others."""
        channel_id = self.pick_channel(step)
        cache = self.client(step).cache
        page = {"channel_id": channel_id, "amount": 1 + step.target, "anchor": 0, "direction": True}
        known = cache.positions.part(f"channel:{channel_id}", MESSAGES)
        listed = cache.positions.part(cache.self_scope, SERVERS)
        since = {"since": known.rev} if known and step.target % 2 else {}
        listing = self.ask(step, "get_servers", **({"since": listed.rev} if listed and step.target % 3 else {}))
        asked = self.ask(step, "get_message_chunk", **page, **since)
        reason = (await asyncio.gather(asked, listing))[0][1]
        self.expect(step, self.server_of(channel_id), reason, "")

    async def rename(self, step: Step) -> None:
        """Not safe to repeat: when the connection is lost under way, nobody knows whether it happened."""
        try:
            _, reason = await self.ask(step, "update_user", changes={"display_name": f"name {next(self.counter)}"})
        except Disconnected:
            reason = "unavailable"
        assert not reason or (reason == "unavailable" and self.restarting)
        self.views.clear()

    async def befriend(self, step: Step) -> None:
        """Asks or accepts; what else there is between the two may forbid it."""
        _, reason = await self.ask(step, "add_friend", user_id=self.other(step))
        assert reason in {"", "conflict", "forbidden"}

    async def block(self, step: Step) -> None:
        result, _ = await self.ask(step, "update_friend", user_id=self.other(step), state="blocked")
        assert result["state"] == "blocked"

    async def part(self, step: Step) -> None:
        result, _ = await self.ask(step, "delete_friend", user_id=self.other(step))
        assert result == {}

    async def set_settings(self, step: Step) -> None:
        settings = {"$a.b": [step.text, {"": step.target}]}
        result, _ = await self.ask(step, "update_settings", settings=settings)
        assert result["settings"] == settings

    def me(self, step: Step) -> str:
        return self.people[self.user(step)].id

    def other(self, step: Step) -> str:
        others = [person.id for number, person in enumerate(self.people) if number != self.user(step)]
        return others[step.target % len(others)]

    # What must hold.

    async def check(self) -> None:
        """The database shows what was acknowledged, and every device what the database shows."""
        if not self.views:
            reads = (fresh_sight(self.system.url(n % 2), person.token) for n, person in enumerate(self.people))
            self.views = list(await asyncio.gather(*reads))
        for user, view in enumerate(self.views):
            self.check_acknowledged(user, view)
        await self.devices.equal(self.views)

    def check_friends(self, user: int) -> None:
        """What two are to each other fits together."""
        me, mine = self.people[user].id, self.views[user].snapshot["friends"]
        for person, view in zip(self.people, self.views, strict=True):
            pair = (mine.get(person.id, {}).get("state"), view.snapshot["friends"].get(me, {}).get("state"))
            assert tuple(sorted(map(str, pair))) in PAIRS, f"{me} and {person.id} are {pair}"

    def check_acknowledged(self, user: int, view: View) -> None:
        """No less, and no more."""
        self.check_friends(user)
        for server in self.servers:
            if (user, server.id) in self.moving:  # joined and left at once: either may have been the last
                server.members.discard(user)
                server.members |= {user} if server.id in view.snapshot["servers"] else set()
        mine = [server for server in self.servers if user in server.members]
        assert set(view.snapshot["servers"]) == {server.id for server in mine}
        standing: dict[str, dict[int, str]] = {channel: {} for server in mine for channel in server.channels}
        for message in self.messages.values():
            if message.key[0] in standing and not message.deleted:
                standing[message.key[0]][message.key[1]] = message.content
        shown = {
            channel: {number: message["content"] for number, message in held.items()}
            for channel, held in view.snapshot["messages"].items()
            if channel not in view.snapshot["directs"]
        }
        assert shown == standing
