"""The one property above all, of a server's structure: caches equal a fresh read, whatever changes who sees what.

Three members with five devices on two gateways change roles, ranks, overwrites, categories, channels, nicks and
members, alone or several at once; what they may not do they are refused. After each step a last change that everybody
hears marks the end: by then each device must hold exactly what a new connection of its user reads, of channels that
came into sight and went out of it too, and no rule of section 2 may have been broken.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.cache import Device
from tests.client import RpcError
from tests.rig import People, Person, System
from tests.view import fresh_view

DEVICES = ((0, 0), (0, 1), (1, 1), (1, 0), (2, 1))
"""Each a user and the gateway it starts on; the first user owns the server."""

RULES = ["view_channel", "send_messages", "manage_channels", "manage_roles", "kick_members", "administrator"]
REFUSALS = {"forbidden", "not_found", "conflict", "invalid_params"}

Entity = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """`one` and `two` pick what it is about, `rules` what is set, among what there is by then."""

    kind: str
    device: int
    one: int
    two: int
    rules: tuple[str, ...]


@dataclass
class Remembered:
    """What a user was shown of the server some steps ago, to be brought up to date by what changed since."""

    rev: int
    channels: dict[str, tuple[str, str | None]]
    categories: dict[str, str]
    roles: dict[str, Entity]

    @classmethod
    def of(cls, listed: Entity, roles: Entity) -> Remembered:
        return cls(
            listed["rev"],
            {
                channel["id"]: (channel["name"], category["id"])
                for category in listed["categories"]
                for channel in category["channels"]
            },
            {each["id"]: each["name"] for each in listed["categories"] if each["id"]},
            {role["id"]: role for role in roles["roles"]},
        )

    def since(self, channels: Entity, roles: Entity, whole: Remembered) -> Remembered:
        """With these two deltas; what is answered in full is as it is now."""
        after = Remembered(whole.rev, dict(self.channels), dict(self.categories), dict(self.roles))
        if channels["full"]:
            after.channels, after.categories = whole.channels, whole.categories
        else:
            for gone in channels["deleted"]:
                after.channels.pop(gone, None)
                after.categories.pop(gone, None)
            after.categories |= {each["id"]: each["name"] for each in channels["categories"]}
            after.channels |= {each["id"]: (each["name"], each["category_id"]) for each in channels["updated"]}
        for gone in roles["deleted"]:
            after.roles.pop(gone, None)
        after.roles |= {role["id"]: role for role in roles["updated"]}
        return after


@dataclass
class World:
    system: System
    server_id: str = ""
    people: list[Person] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    invite: str = ""
    owner: int = 0
    remembered: dict[int, Remembered] = field(default_factory=dict)
    counter: itertools.count[int] = field(default_factory=itertools.count)

    async def begin(self) -> None:
        registering = People(self.system)
        self.people = await registering.several("ann", "bob", "cay")
        await registering.close()
        self.devices = list(await asyncio.gather(*(self.connected(*each) for each in DEVICES)))
        client = self.devices[0].client
        self.server_id = (await client.call("add_server", name="x"))["id"]
        self.invite = (await client.call("add_invite", server_id=self.server_id))["code"]
        roles = await client.call("get_server_roles", server_id=self.server_id)
        listed = await client.call("get_server_channels", server_id=self.server_id)
        self.roles = [roles["roles"][0]["id"]]
        self.channels = [listed["categories"][0]["channels"][0]["id"]]
        await self.perform([Step("join", device, 0, 0, ()) for device in (2, 4)])
        for _ in range(2):
            await self.perform([Step("add_role", 0, 0, 0, ("view_channel",)), Step("add_category", 0, 0, 0, ())])

    async def end(self) -> None:
        await asyncio.gather(*(device.close() for device in self.devices))

    async def connected(self, user: int, gateway: int) -> Device:
        return await Device.connect(self.system.url(gateway), self.people[user].id, self.people[user].token)

    async def perform(self, steps: list[Step]) -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*(getattr(self, step.kind)(step) for step in steps))
            await self.check()

    async def check(self) -> None:
        """A change that all members hear, as far as which everyone must have come."""
        marker = {"server_id": self.server_id, "changes": {"description": str(next(self.counter))}}
        here = await self.ask(Step("", 2 * self.owner, 0, 0, ()), "update_server", **marker)
        assert here is not None
        reads = (fresh_view(self.system.url(number % 2), person.token) for number, person in enumerate(self.people))
        views = await asyncio.gather(*reads)
        heard = {f"server:{self.server_id}": here["rev"]}
        await asyncio.gather(
            *(device.equals(views[user], heard) for device, (user, _) in zip(self.devices, DEVICES, strict=True)),
            *(self.check_deltas(user) for user in range(len(self.people))),
        )

    async def check_deltas(self, user: int) -> None:
        """What a user was shown before, with what changed since, is what they are shown now."""
        step = Step("", 2 * user, 0, 0, ())
        listed, roles = [await self.server(step, method) for method in ("get_server_channels", "get_server_roles")]
        if listed is None or roles is None:
            self.remembered.pop(user, None)
            return
        whole, before = Remembered.of(listed, roles), self.remembered.get(user)
        if before is not None:
            channels = await self.server(step, "get_server_channels", since=before.rev)
            changed = await self.server(step, "get_server_roles", since=before.rev)
            assert before.since(channels, changed, whole) == whole, f"since {before.rev}: {channels} {changed}"
        if before is None or next(self.counter) % 3 == 0:
            self.remembered[user] = whole

    async def ask(self, step: Step, method: str, **params: Any) -> Any:
        try:
            return await self.devices[step.device].client.call(method, **params)
        except RpcError as error:
            if error.reason not in REFUSALS:
                raise
            return None

    async def server(self, step: Step, method: str, **params: Any) -> Any:
        return await self.ask(step, method, server_id=self.server_id, **params)

    def pick(self, things: list[str], number: int) -> str:
        return things[number % len(things)] if things else "0" * 24

    def name(self) -> str:
        return f"n{next(self.counter)}"

    async def made(self, held: list[str], call: Awaitable[Entity | None]) -> None:
        if (entity := await call) is not None:
            held.append(entity["id"])

    def overwrites(self, step: Step) -> list[Entity]:
        role = self.pick(self.roles, step.two)
        half = len(step.rules) // 2
        return [{"role_id": role, "allow": [*step.rules[half:]], "deny": [*step.rules[:half]]}]

    # Steps.

    async def add_role(self, step: Step) -> None:
        if len(self.roles) < 6:
            params = {"name": self.name(), "color": "", "rules": [*step.rules]}
            await self.made(self.roles, self.server(step, "add_role", **params))

    async def change_role(self, step: Step) -> None:
        changes: Entity = {"rules": [*step.rules]} if step.two % 3 else {"position": step.two / 2, "name": self.name()}
        await self.server(step, "update_role", role_id=self.pick(self.roles, step.one), changes=changes)

    async def drop_role(self, step: Step) -> None:
        role_id = self.pick(self.roles, step.one)
        if await self.server(step, "delete_role", role_id=role_id) is not None and role_id in self.roles:
            self.roles.remove(role_id)

    async def give_roles(self, step: Step) -> None:
        roles = sorted({self.pick(self.roles[1:], step.two), self.pick(self.roles[1:], step.two // 2)})
        roles = roles[: step.one % 3]
        user_id = self.people[step.one % 3].id
        await self.server(step, "update_member", user_id=user_id, changes={"roles": roles})

    async def nick(self, step: Step) -> None:
        user_id = self.people[step.one % 3].id
        changes = {"nick": self.name() if step.two % 2 else None}
        await self.server(step, "update_member", user_id=user_id, changes=changes)

    async def add_category(self, step: Step) -> None:
        if len(self.categories) < 4:
            await self.made(self.categories, self.server(step, "add_category", name=self.name()))

    async def change_category(self, step: Step) -> None:
        changes: Entity = {"name": self.name()} if step.two % 2 else {"position": step.two}
        await self.server(step, "update_category", category_id=self.pick(self.categories, step.one), changes=changes)

    async def drop_category(self, step: Step) -> None:
        category_id = self.pick(self.categories, step.one)
        if await self.server(step, "delete_category", category_id=category_id) and category_id in self.categories:
            self.categories.remove(category_id)

    async def add_channel(self, step: Step) -> None:
        if len(self.channels) < 5:
            params: Entity = {"category_id": self.pick(self.categories, step.one)} if step.one % 2 else {}
            if step.two % 2:
                params["roles"] = self.overwrites(step)
            await self.made(self.channels, self.server(step, "add_channel", name=self.name(), **params))

    async def move_channel(self, step: Step) -> None:
        place = [None, *self.categories][step.two % (len(self.categories) + 1)]
        changes: Entity = {"category_id": place} if step.two % 3 else {"position": step.two, "name": self.name()}
        await self.ask(step, "update_channel", channel_id=self.pick(self.channels, step.one), changes=changes)

    async def overwrite(self, step: Step) -> None:
        changes = {"roles": self.overwrites(step) if step.rules else []}
        await self.ask(step, "update_channel", channel_id=self.pick(self.channels, step.one), changes=changes)

    async def drop_channel(self, step: Step) -> None:
        channel_id = self.pick(self.channels, step.one)
        if await self.ask(step, "delete_channel", channel_id=channel_id) is not None and channel_id in self.channels:
            self.channels.remove(channel_id)

    async def say(self, step: Step) -> None:
        await self.ask(step, "add_message", channel_id=self.pick(self.channels, step.one), content=self.name())

    async def join(self, step: Step) -> None:
        await self.ask(step, "join_server", invite=self.invite)

    async def leave(self, step: Step) -> None:
        await self.server(step, "leave_server")

    async def kick(self, step: Step) -> None:
        await self.server(step, "delete_member", user_id=self.people[step.one % 3].id)

    async def ban(self, step: Step) -> None:
        """And a pardon, lest everybody be outside in the end."""
        user_id = self.people[step.one % 3].id
        if await self.server(step, "add_ban", user_id=user_id):
            await self.server(step, "delete_ban", user_id=user_id)

    async def hand_over(self, step: Step) -> None:
        heir = step.one % 3
        if await self.server(step, "update_server", changes={"owner_id": self.people[heir].id}):
            self.owner = heir

    async def reconnect(self, step: Step) -> None:
        user = DEVICES[step.device][0]
        anew = await self.connected(user, step.one % 2)
        await self.devices[step.device].close()
        self.devices[step.device] = anew


KINDS = (
    ["change_role", "give_roles", "overwrite"] * 4
    + ["add_channel", "move_channel", "drop_channel", "say"] * 2
    + ["add_role", "drop_role", "nick", "add_category", "change_category", "drop_category"]
    + ["join", "join", "join", "leave", "kick", "ban", "hand_over"]
)
DEVICE = st.sampled_from([0, 0, 1, 1, *range(len(DEVICES))])
STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    device=DEVICE,
    one=st.integers(0, 11),
    two=st.integers(0, 11),
    rules=st.lists(st.sampled_from(RULES[:2] * 3 + RULES), max_size=4, unique=True).map(tuple),
)
RECONNECTS = st.builds(Step, st.just("reconnect"), DEVICE, st.integers(0, 1), st.just(0), st.just(()))


class Machine(RuleBasedStateMachine):
    """Hypothesis' side: it draws the steps, and an event loop of its own runs them."""

    system: System
    held: list[Step]
    """The steps after which everybody agreed."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._world = World(self.system)
        try:
            self._runner.run(self._world.begin())
        except BaseException:
            self.teardown()
            raise

    @rule(step=STEPS | RECONNECTS)
    def one(self, step: Step) -> None:
        self._runner.run(self._world.perform([step]))
        self.held.append(step)

    @rule(steps=st.lists(STEPS, min_size=2, max_size=5))
    def several_at_once(self, steps: list[Step]) -> None:
        self._runner.run(self._world.perform(steps))
        self.held.extend(steps)

    def teardown(self) -> None:
        self._runner.run(self._world.end())
        self._runner.close()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_cache_equals_a_fresh_read_of_the_structure(system: System) -> None:
    held: list[Step] = []
    on_this_system = type("OnThisSystem", (Machine,), {"system": system, "held": held})
    fewer = settings(max_examples=max(1, settings().max_examples // 3))
    run_state_machine_as_test(on_this_system, settings=fewer)
    assert held
