"""Users who change each other's rights: each step on the system and, if it was allowed, on the model of who sees."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from guildwire import Cache

from tests.app import App, fresh_sight
from tests.client import Client, Event, Received, RpcError
from tests.rig import People, Person, System, general
from tests.system.secrets_kept import Words
from tests.system.who_sees import Channel, Server

T = TypeVar("T")

DEVICES = ((0, 0), (1, 1), (1, 0), (2, 0), (3, 1))
"""Each a user and the gateway it starts on."""

RULES = (
    "view_channel",
    "send_messages",
    "manage_channels",
    "manage_roles",
    "administrator",
    "kick_members",
    "ban_members",
)
_REFUSED = frozenset({"forbidden", "not_found", "conflict", "invalid_params"})
MOST_CHANNELS, MOST_ROLES, MOST_CATEGORIES = 5, 4, 2

KINDS = (
    *(["say"] * 6 + ["edit", "unsay"]),
    *(["add_channel"] * 2 + ["hide", "show", "rename", "move", "drop_channel"]),
    *["add_category", "drop_category", "rename_category"],
    *(["add_role", "set_rules", "drop_role"] + ["give_roles"] * 4),
    *(["join"] * 3 + ["leave", "kick", "ban", "unban", "hand_over"]),
    *["go", "come", "come", "lag"],
)


@dataclass(frozen=True)
class Step:
    """What a user tries; `target` and `other` pick what it does it to, among what there is by then."""

    kind: str
    user: int
    target: int
    other: int


@dataclass
class Device:
    """`seen` is what the app must have been told of its sight since `told_before`, one event each."""

    user: int
    app: App
    gateway: int
    seen: list[tuple[str, str]] = field(default_factory=list)
    told_before: int = 0
    cache: Path | None = None

    @property
    def here(self) -> bool:
        return self.cache is None

    def told(self) -> list[tuple[str, str]]:
        """What it was told of its sight of channels, in order."""
        events = self.app.recording.traffic.told[self.told_before :]
        return [
            (name, params.get("channel_id") or params["channel"]["id"])
            for name, params in events
            if name in {"channel_added", "channel_deleted"}
        ]


class Intrigues:
    """One server among four users. Steps come one after the other, so that the model knows each one's outcome."""

    def __init__(self, system: System, directory: Path) -> None:
        self._system = system
        self._directory = directory
        self._people: list[Person] = []
        self._clients: list[Client] = []
        self._devices: list[Device] = []
        self._words = Words()
        self._server = Server(0, "")
        self._id = ""
        self._code = ""
        self._messages: list[tuple[str, int, int]] = []
        self._paused: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)

    async def begin(self) -> None:
        registering = People(self._system)
        self._people = await registering.several(*["schemer"] * 4)
        await registering.close()
        for user, person in enumerate(self._people):
            client = await Client.connect(self._system.url(user % 2))
            await client.call("authenticate", token=person.token)
            self._clients.append(client)
        await self._make_server()
        for user, gateway in DEVICES:
            app = await App.connect([self._system.url(gateway)], self._people[user].token)
            self._devices.append(Device(user, app, gateway))

    async def _make_server(self) -> None:
        owner = self._clients[0].call
        self._id = (await owner("add_server", name="Court"))["id"]
        ids = {"server_id": self._id}
        (everyone,) = (await owner("get_server_roles", **ids))["roles"]
        channel_id = await general(self._clients[0], self._id)
        self._server = Server(0, everyone["id"], {everyone["id"]: frozenset(everyone["rules"])}, {0: set()})
        self._server.channels[channel_id] = Channel(None, {}, {})
        self._code = (await owner("add_invite", **ids))["code"]
        for user in (1, 2):
            await self._clients[user].call("join_server", invite=self._code)
            self._server.members[user] = set()

    async def end(self) -> None:
        await asyncio.gather(*self._paused)
        await asyncio.gather(
            *(device.app.close() for device in self._devices), *(each.close() for each in self._clients)
        )

    async def perform(self, steps: list[Step]) -> None:
        """The steps, one after the other; after each, what was heard may have been heard; then everybody must agree."""
        for step in steps:
            before = {user: self._server.channels_of(user) for user in range(4)}
            members = set(self._server.members)
            await getattr(self, f"_{step.kind}")(step)
            self._note_sight(before, members & set(self._server.members))
            self._check_words()
        await asyncio.gather(*self._paused)
        self._paused.clear()
        await self._check()

    # What must hold.

    def _note_sight(self, before: dict[int, set[str]], stayed: set[int]) -> None:
        """Joining and leaving are told in another way."""
        for user in range(4):
            after = self._server.channels_of(user)
            self._words.seen(user, self._server.places_of(user))
            for device in self._of(user) if user in stayed else ():
                device.seen += [("channel_added", each) for each in sorted(after - before[user])]
                device.seen += [("channel_deleted", each) for each in sorted(before[user] - after)]

    def _check_words(self) -> None:
        for device in self._devices:
            leaked = self._words.leaked(device.user, device.app.recording.take_texts())
            assert not leaked, f"user {device.user} heard {leaked}"
        for user, client in enumerate(self._clients):
            leaked = self._words.leaked(user, map(_text, client.received))
            client.received.clear()
            assert not leaked, f"user {user} was answered with {leaked}"

    async def _check(self) -> None:
        """Everybody sees what the model says, everybody's cache has it, and each change of sight was told once."""
        for user, person in enumerate(self._people):
            view = await fresh_sight(self._system.url(user % 2), person.token)
            assert set(view.snapshot["channels"]) == self._server.channels_of(user), f"what user {user} sees"
            shown = set(view.snapshot["categories"].get(self._id, ()))
            assert shown == self._server.categories_of(user), f"the categories that user {user} sees"
            for device in self._of(user):
                await device.app.equals(view)
                assert sorted(device.told()) == sorted(device.seen), f"what user {user} was told of its sight"
        self._check_words()

    def _of(self, user: int) -> Iterator[Device]:
        return (device for device in self._devices if device.user == user and device.here)

    # Trying.

    async def _try(self, user: int, method: str, **params: Any) -> Any:
        """The result; None when it is refused, which must leave everything as it was."""
        try:
            return await self._clients[user].call(method, **params)
        except RpcError as error:
            if error.reason not in _REFUSED:
                raise
            return None

    async def _change(self, user: int, method: str, **params: Any) -> bool:
        return await self._try(user, method, server_id=self._id, **params) is not None

    def _pick(self, among: Sequence[T], number: int) -> T | None:
        return among[number % len(among)] if among else None

    def _a_channel(self, step: Step) -> str | None:
        return self._pick(list(self._server.channels), step.target)

    def _a_role(self, number: int) -> str | None:
        return self._pick([role for role in self._server.roles if role != self._server.everyone], number)

    # Messages.

    async def _say(self, step: Step) -> None:
        channel = self._a_channel(step)
        if channel is None:
            return
        word = self._words.new()
        self._words.put(word, channel)
        said = await self._try(step.user, "add_message", channel_id=channel, content=word)
        if said:
            self._messages.append((channel, said["id"], step.user))
            self._said(step.user, channel, said["id"])

    def _said(self, user: int, channel: str, message: int) -> None:
        """Something was said, under this number."""

    async def _edit(self, step: Step) -> None:
        picked = self._pick(self._messages, step.target)
        if picked is None:
            return
        channel, message, author = picked
        word = self._words.new()
        self._words.put(word, channel)
        await self._try(author, "update_message", channel_id=channel, message_id=message, content=word)

    async def _unsay(self, step: Step) -> None:
        picked = self._pick(self._messages, step.target)
        if picked is not None:
            channel, message, author = picked
            if await self._try(author, "delete_message", channel_id=channel, message_id=message) is not None:
                self._messages.remove(picked)

    # Channels and categories.

    async def _add_channel(self, step: Step) -> None:
        if len(self._server.channels) >= MOST_CHANNELS:
            return
        word, hidden = self._words.new(), step.other % 2
        role = self._a_role(step.target)
        category = self._pick([None, *sorted(self._server.categories)], step.target)
        deny = {self._server.everyone: ["view_channel"]} if hidden else {}
        allow = {role: ["view_channel"]} if hidden and role else {}
        overwrites = _overwrites(allow, deny)
        made = await self._try(
            step.user,
            "add_channel",
            server_id=self._id,
            name=word,
            category_id=category,
            **({"roles": overwrites} if hidden else {}),
        )
        if made:
            self._words.put(word, made["id"])
            self._server.channels[made["id"]] = _channel(category, overwrites if hidden else [])

    async def _hide(self, step: Step) -> None:
        await self._overwrite(step, "deny")

    async def _show(self, step: Step) -> None:
        await self._overwrite(step, "allow")

    async def _overwrite(self, step: Step, what: str) -> None:
        channel = self._a_channel(step)
        role = self._pick(list(self._server.roles), step.other)
        if channel is None or role is None:
            return
        keeper = self._a_role(step.target)
        allow = (
            {role: ["view_channel"]}
            if what == "allow"
            else ({keeper: ["view_channel"]} if keeper and keeper != role else {})
        )
        overwrites = _overwrites(allow, {role: ["view_channel"]} if what == "deny" else {})
        if await self._try(step.user, "update_channel", channel_id=channel, changes={"roles": overwrites}):
            self._server.channels[channel] = _channel(self._server.channels[channel].category, overwrites)

    async def _rename(self, step: Step) -> None:
        if (channel := self._a_channel(step)) is not None:
            word = self._words.new()
            self._words.put(word, channel)
            await self._try(
                step.user, "update_channel", channel_id=channel, changes={"name": word, "description": word}
            )

    async def _move(self, step: Step) -> None:
        channel = self._a_channel(step)
        category = self._pick([None, *sorted(self._server.categories)], step.other)
        if channel and await self._try(
            step.user, "update_channel", channel_id=channel, changes={"category_id": category}
        ):
            self._server.channels[channel].category = category

    async def _drop_channel(self, step: Step) -> None:
        channel = self._a_channel(step)
        if (
            channel
            and len(self._server.channels) > 1
            and await self._try(step.user, "delete_channel", channel_id=channel) is not None
        ):
            del self._server.channels[channel]
            self._messages = [each for each in self._messages if each[0] != channel]

    async def _add_category(self, step: Step) -> None:
        if len(self._server.categories) >= MOST_CATEGORIES:
            return
        word = self._words.new()
        made = await self._try(step.user, "add_category", server_id=self._id, name=word)
        if made:
            self._words.put(word, made["id"])
            self._server.categories.add(made["id"])

    async def _rename_category(self, step: Step) -> None:
        if category := self._pick(sorted(self._server.categories), step.target):
            word = self._words.new()
            self._words.put(word, category)
            await self._change(step.user, "update_category", category_id=category, changes={"name": word})

    async def _drop_category(self, step: Step) -> None:
        category = self._pick(sorted(self._server.categories), step.target)
        if category and await self._change(step.user, "delete_category", category_id=category):
            self._server.delete_category(category)

    # Roles and members.

    async def _add_role(self, step: Step) -> None:
        if len(self._server.roles) > MOST_ROLES:
            return
        word, rules = self._words.new(), _some_rules(step)
        self._words.put(word, self._server.everyone)
        made = await self._try(step.user, "add_role", server_id=self._id, name=word, color="", rules=rules)
        if made:
            self._server.roles[made["id"]] = frozenset(rules)

    async def _set_rules(self, step: Step) -> None:
        role, rules = self._pick(list(self._server.roles), step.target), _some_rules(step)
        if role and await self._change(step.user, "update_role", role_id=role, changes={"rules": rules}):
            self._server.roles[role] = frozenset(rules)

    async def _drop_role(self, step: Step) -> None:
        role = self._a_role(step.target)
        if role and await self._change(step.user, "delete_role", role_id=role):
            self._server.delete_role(role)

    async def _give_roles(self, step: Step) -> None:
        roles = [role for index, role in enumerate(self._server.roles) if index and step.other >> index & 1]
        user = step.target % 4
        changes = {"roles": roles}
        if await self._change(step.user, "update_member", user_id=self._people[user].id, changes=changes):
            self._server.members[user] = set(roles)

    async def _join(self, step: Step) -> None:
        if await self._try(step.user, "join_server", invite=self._code):
            self._server.members.setdefault(step.user, set())

    async def _leave(self, step: Step) -> None:
        if await self._change(step.user, "leave_server"):
            self._server.members.pop(step.user, None)

    async def _kick(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "delete_member", user_id=self._people[user].id):
            self._server.members.pop(user, None)

    async def _ban(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "add_ban", user_id=self._people[user].id):
            self._server.members.pop(user, None)
            self._server.banned.add(user)

    async def _unban(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "delete_ban", user_id=self._people[user].id):
            self._server.banned.discard(user)

    async def _hand_over(self, step: Step) -> None:
        heir = step.target % 4
        changes = {"owner_id": self._people[heir].id}
        if await self._change(self._server.owner, "update_server", changes=changes):
            self._server.owner = heir

    # Devices and processes.

    async def _go(self, step: Step) -> None:
        """A device goes with its cache; another of its user may stay."""
        device = self._devices[step.target % len(self._devices)]
        if device.here:
            device.cache = device.app.save(self._directory / f"cache-{next(self._numbers)}")
            await device.app.close()

    async def _come(self, step: Step) -> None:
        """It comes back, on the other gateway."""
        away = [device for device in self._devices if not device.here]
        device = self._pick(away, step.target)
        if device is None or device.cache is None:
            return
        cache, device.cache, device.gateway = Cache.load(device.cache), None, 1 - device.gateway
        device.app = await App.connect([self._system.url(device.gateway)], self._people[device.user].token, cache)
        await device.app.equals(await fresh_sight(self._system.url(device.gateway), self._people[device.user].token))
        device.seen, device.told_before = [], len(device.app.recording.traffic.told)

    async def _lag(self, step: Step) -> None:
        """A process stands still for a moment, and goes on behind all others."""
        name = self._pick([name for name in self._system.names if not name.startswith("presence")], step.target)
        if name is None or self._paused:
            return
        self._system.signal(name, signal.SIGSTOP)

        async def go_on() -> None:
            await asyncio.sleep(0.05 + step.other % 250 / 1000)
            self._system.signal(name, signal.SIGCONT)

        self._paused.append(asyncio.create_task(go_on()))


def _text(item: Received) -> str:
    """What came from the other side."""
    return str(item.params if isinstance(item, Event) else (item.result, item.error))


def _some_rules(step: Step) -> list[str]:
    """Mostly with sight, sometimes with more."""
    return [
        rule for index, rule in enumerate(RULES) if (step.other if index else step.other | step.target) >> index & 1
    ]


def _overwrites(allow: dict[str, list[str]], deny: dict[str, list[str]]) -> list[dict[str, Any]]:
    roles = dict.fromkeys([*allow, *deny])
    return [{"role_id": role, "allow": allow.get(role, []), "deny": deny.get(role, [])} for role in roles]


def _channel(category: str | None, overwrites: list[dict[str, Any]]) -> Channel:
    allow = {each["role_id"]: frozenset(each["allow"]) for each in overwrites}
    return Channel(category, allow, {each["role_id"]: frozenset(each["deny"]) for each in overwrites})
