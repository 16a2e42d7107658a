"""Whatever happens, in whatever order it is heard: in the end the cache is what the server would show."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from guildwire import Cache
from guildwire.cache import disk
from guildwire.cache.cache import Claim
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clients.model import Guild, Server
from tests.clients.wire import ME, SELF, Json

PAGE = 3


class World:
    def __init__(self) -> None:
        self.server = Server()
        self.cache = Cache()
        self.up: deque[tuple[str, Any]] = deque()
        self.names = iter(range(10**6))
        for number in (1, 2):
            guild = self.server.make_guild(f"s{number}")
            self.server.add_channel(guild, f"c{number}")
        self.server.join(self.server.guilds["s1"])
        self.arrive(split=False)

    # What the server's people do.

    def guild(self, pick: int) -> Guild:
        return list(self.server.guilds.values())[pick % len(self.server.guilds)]

    def channel(self, pick: int) -> tuple[Guild, str]:
        every = [(guild, known) for guild in self.server.guilds.values() for known in guild.channels]
        return every[pick % len(every)]

    def come_or_go(self, pick: int) -> None:
        guild = self.guild(pick)
        (self.server.leave if guild.mine else self.server.join)(guild)

    def rename_server(self, pick: int) -> None:
        entity = self.guild(pick).entity
        changes = {"name": f"name {next(self.names)}"}
        self.server.change(f"server:{entity['id']}", "server_updated", "server_id", entity, entity["id"], changes)

    def add_channel(self, pick: int) -> None:
        self.server.add_channel(self.guild(pick), f"c{next(self.names) + 10}")

    def rename_channel(self, pick: int) -> None:
        guild, channel_id = self.channel(pick)
        if channel_id not in guild.hidden:
            scope, changes = f"server:{guild.entity['id']}", {"name": f"name {next(self.names)}"}
            entity = guild.channels[channel_id]
            self.server.change(scope, "channel_updated", "channel_id", entity, channel_id, changes)

    def hide_or_show(self, pick: int) -> None:
        guild, channel_id = self.channel(pick)
        (self.server.show if channel_id in guild.hidden else self.server.hide)(guild, channel_id)

    def say(self, pick: int) -> None:
        for _ in range(1 + pick % 3):
            self.server.say(self.channel(pick)[1])

    def edit(self, pick: int) -> None:
        channel_id = self.channel(pick)[1]
        for number, entity in list(self.server.messages[channel_id].items())[-1 - pick % 3 :][:1]:
            changes = {"content": f"text {next(self.names)}"}
            self.server.change(f"channel:{channel_id}", "message_changed", "message_id", entity, number, changes)

    def unsay(self, pick: int) -> None:
        channel_id = self.channel(pick)[1]
        for number in list(self.server.messages[channel_id])[-1 - pick % 3 :][:1]:
            self.server.unsay(channel_id, number)

    def rename_user(self, pick: int) -> None:
        user_id = ("u2", ME)[pick % 2]
        changes, entity = {"display_name": f"name {next(self.names)}"}, self.server.users[user_id]
        self.server.change(f"user:{user_id}", "user_changed", "user_id", entity, user_id, changes)

    def member(self, pick: int) -> None:
        """The other user comes, gets another nick, goes."""
        guild = self.guild(pick)
        scope, head = f"server:{guild.entity['id']}", self.server.scope(f"server:{guild.entity['id']}").head
        if "u2" not in guild.members:
            guild.members["u2"] = {**_member(head + 1), "user": dict(self.server.users["u2"])}
            self.server.commit(scope, ("member_added", {"member": dict(guild.members["u2"])}))
        elif pick % 3:
            changes, entity = {"nick": f"nick {next(self.names)}"}, guild.members["u2"]
            self.server.change(scope, "member_changed", "user_id", entity, "u2", changes)
        else:
            del guild.members["u2"]
            self.server.commit(scope, ("member_deleted", {"user_id": "u2"}))

    def prune(self, pick: int) -> None:
        scope = self.server.scope(list(self.server.scopes)[pick % len(self.server.scopes)])
        scope.horizon = scope.head

    # What becomes of the connection.

    def receive(self, amount: int) -> None:
        for _ in range(min(amount, len(self.server.down))):
            self.server.down.popleft()(self.cache)

    def serve(self, amount: int) -> None:
        for _ in range(min(amount, len(self.up))):
            method, params = self.up.popleft()
            if method == "resume":
                self.server.resume(params)
            else:
                self.server.ask(method, params)

    def ask(self, _pick: int) -> None:
        if self.server.connected and not self.up:
            self.up.extend((ask.method, ask.params) for ask in self.cache.stale())
            self.up.extend(self.lacking())

    def load(self, _pick: int) -> None:
        """Some time with nothing else going on."""
        for _ in range(3):
            self.ask(0)
            self.serve(10**6)
            self.receive(10**6)

    def away(self, pick: int) -> None:
        self.server.disconnect()
        self.up.clear()
        self.cache.disconnected()
        if pick % 2:
            saved = json.dumps(disk.dump(self.cache))
            self.cache = Cache()
            disk.restore(self.cache, json.loads(saved))

    def back(self, pick: int) -> None:
        if not self.server.connected:
            self.arrive(split=bool(pick % 2))

    def arrive(self, *, split: bool) -> None:
        claim = (self.cache.claims() or [Claim()])[0]
        claims = [claim]
        if split and len(claim.scopes) > 2:
            names = list(claim.scopes)
            halves = (names[: len(names) // 2], names[len(names) // 2 :])
            claims = [Claim({each: claim.scopes[each] for each in half}, claim.members) for half in halves]
        self.cache.claimed(claims)
        self.server.authenticate(claims[0])
        self.up.extend(("resume", each) for each in claims[1:])

    def lacking(self) -> list[tuple[str, Json]]:
        """What would complete the cache, as an app loads it."""
        cache = self.cache
        if not cache.is_loaded(SELF, "servers"):
            return [("get_servers", {})]
        wanted: list[tuple[str, Json]] = []
        for server_id, server in cache.servers.items():
            of = {"server_id": server_id}
            if "owner_id" not in server.entity:
                wanted.append(("get_server", of))
            if not cache.is_loaded(f"server:{server_id}", "channels"):
                wanted.append(("get_server_channels", of))
            if not cache.is_loaded(f"server:{server_id}", "members"):
                wanted.append(("get_server_members", {**of, "amount": 100}))
        for channel_id in cache.guilds.server_of:
            pages = cache.pages(channel_id)
            if not pages.complete:
                last = pages.ranges.last
                anchor = last[0] if last and pages.live_end else 0
                page = {"anchor": anchor, "direction": False, "amount": PAGE}
                wanted.append(("get_message_chunk", {"channel_id": channel_id, **page}))
        return wanted

    # What must hold.

    def settle(self) -> None:
        self.back(0)
        for _ in range(60):
            self.serve(10**6)
            self.receive(10**6)
            self.ask(0)
            if not self.up and not self.server.down:
                return
        raise AssertionError(f"never settles: {self.up}")

    def cached(self) -> Json:
        """What the client holds."""
        cache = self.cache
        return {
            "servers": {
                known: _server(held.entity, held.channels, held.members) for known, held in cache.servers.items()
            },
            "messages": {
                channel_id: cache.pages(channel_id).newest(10**4)
                for held in cache.servers.values()
                for channel_id in held.channels
            },
            "users": dict(cache.users.all()),
        }

    def served(self) -> Json:
        """The same, as the server has it; of users those that the client holds."""
        server = self.server
        mine = {known: guild for known, guild in server.guilds.items() if guild.mine}
        seen = {
            server_id: {known: each for known, each in guild.channels.items() if known not in guild.hidden}
            for server_id, guild in mine.items()
        }
        return {
            "servers": {known: _server(guild.entity, seen[known], guild.members) for known, guild in mine.items()},
            "messages": {
                channel_id: [each for _, each in sorted(server.messages[channel_id].items())]
                for channels in seen.values()
                for channel_id in channels
            },
            "users": {user_id: server.users[user_id] for user_id in self.cache.users.all()},
        }


def _server(entity: Mapping[str, Any], channels: Mapping[str, Any], members: Mapping[str, Any]) -> Json:
    return {
        "name": entity["name"],
        "channels": {known: each["name"] for known, each in channels.items()},
        "members": {known: (each["nick"], each["rev"]) for known, each in members.items()},
    }


def _member(rev: int) -> Json:
    return {"roles": [], "nick": None, "joined_date": "2026-01-01T00:00:00.000Z", "rev": rev}


CHANGES = ["come_or_go", "rename_server", "add_channel", "rename_channel", "hide_or_show", "say", "edit", "unsay"]
PASSING = ["receive", "serve", "ask", "load", "load", "load", "away", "back", "back"]
STEPS = st.tuples(
    st.sampled_from([*CHANGES, "say", "say", "member", "rename_user", "prune", *PASSING]), st.integers(0, 11)
)


@settings(max_examples=120)
@given(st.lists(STEPS, min_size=20, max_size=80))
def test_the_cache_ends_up_equal_to_the_server(steps: list[tuple[str, int]]) -> None:
    world = World()
    for name, pick in steps:
        getattr(world, name)(pick)
    world.settle()
    assert world.cached() == world.served()
