"""The Python client as an app uses it that wants everything: all it may see is in its cache, and stays so.

`fresh_sight` reads the same over a connection that knows no cache at all: the two must become equal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from guildwire import Cache, Client, NotFound
from guildwire.cache.directs import DIRECTS
from guildwire.cache.friends import FRIENDS
from guildwire.cache.guilds import SERVERS
from guildwire.cache.messages import MESSAGES
from guildwire.cache.own_settings import SETTINGS
from guildwire.cache.servers import CHANNELS, MEMBERS, ROLES, SERVER
from guildwire.loading import Unsettled

from tests.client import Client as Bare
from tests.client import Received
from tests.recording import Recording
from tests.view import PAGE, Entity, Snapshot, View, as_friend, read_all, stored

PATIENCE = 12.0
"""Seconds. Whoever was cut off by a restart may wait for some of them before it tries again."""

ALL = 10_000
_GOING_AWAY = (NotFound, Unsettled, KeyError)
"""What loading ends in when the thing goes away meanwhile."""


class App:
    """`cache`: what an app of this user saved before; without it everything is loaded anew."""

    def __init__(self, urls: Sequence[str], cache: Cache | None = None) -> None:
        self.client = Client(urls, cache=cache)
        self.recording = Recording(self.client.cache)
        self.client._link._open = self.recording.open

    @classmethod
    async def connect(cls, urls: Sequence[str], token: str, cache: Cache | None = None) -> Self:
        """Connects to the first of the URLs, and loads what the cache lacks."""
        app = cls(urls, cache)
        await app.client.authenticate(token)
        await app.load()
        return app

    @property
    def cache(self) -> Cache:
        return self.client.cache

    def save(self, path: Path) -> Path:
        self.cache.save(path)
        return path

    async def close(self) -> None:
        await self.client.close()

    async def load(self) -> None:
        """Asks for what was never loaded; what is only stale the client asks for by itself."""
        deadline = time.monotonic() + PATIENCE
        while lacking := list(self._lacking()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still lacking {lacking}")
            await asyncio.gather(*(self._settle(*each) for each in lacking))

    def _lacking(self) -> Iterator[tuple[Any, ...]]:
        """The client's calls that would load it, each with its params."""
        cache, client = self.cache, self.client
        own = {
            SERVERS: client.load_servers,
            FRIENDS: client.load_friends,
            SETTINGS: client.load_settings,
            DIRECTS: client.load_direct_channels,
        }
        yield from ((load,) for part, load in own.items() if not cache.is_loaded(cache.self_scope, part))
        for server_id, server in cache.servers.items():
            scope = f"server:{server_id}"
            whole = all(cache.is_loaded(scope, part) for part in (SERVER, CHANNELS, ROLES))
            if not whole or "owner_id" not in server.entity:
                yield client.load_server, server_id
            if not (server.all_members and cache.is_loaded(scope, MEMBERS)):
                yield client.load_members, server_id
        seen = (
            *(channel_id for server in cache.servers.values() for channel_id in server.channels),
            *cache.direct_channels,
        )
        yield from ((client.load_messages, channel_id, ALL) for channel_id in seen if not self._is_complete(channel_id))

    def _is_complete(self, channel_id: str) -> bool:
        return self.cache.is_loaded(f"channel:{channel_id}", MESSAGES) and self.cache.pages(channel_id).complete

    async def _settle(self, load: Callable[..., Coroutine[Any, Any, Any]], *params: Any) -> None:
        try:
            await load(*params)
        except _GOING_AWAY:
            await asyncio.sleep(0.005)  # the event that says so may come after the reply

    async def equals(self, view: View) -> None:
        """Waits until the cache is what a fresh read has shown; in the end in good order, and nothing beyond it."""
        deadline = time.monotonic() + PATIENCE
        await self.client.online(PATIENCE)
        while self._is_behind(view) or snapshot(self.cache) != view.snapshot:
            if time.monotonic() > deadline:
                raise AssertionError(self._apart_from(view))
            if not self.cache.stale():
                await self.load()
            await asyncio.sleep(0.01)
        assert self.recording.broken_rules() == []
        ahead = {scope: rev for scope, rev in view.revs.items() if (self.cache.positions.rev(scope) or 0) > rev}
        assert not ahead, f"heard more than the database has: {ahead}"

    def _apart_from(self, view: View) -> str:
        """In few lines: what differs, and what the client knows of how far it has come."""
        differing = list(differences(snapshot(self.cache), view.snapshot))[:20]
        lacking = [load.__name__ for load, *_ in self._lacking()]
        told = [(name, params["scope"], params["rev"]) for name, params in self.recording.traffic.told[-20:]]
        state = f"behind: {self._is_behind(view)}\nstale: {self.cache.stale()}\nlacking: {lacking}\nlast told: {told}"
        return "\n".join(["the cache is not what a fresh read shows", *differing, state])

    def _is_behind(self, view: View) -> dict[str, str]:
        """Of a server not everything is heard, so its head is no measure."""
        told = [scope for scope in view.revs if not scope.startswith(("server:", "user:"))]
        heard = {scope: self.cache.positions.rev(scope) or 0 for scope in told}
        return {scope: f"at {rev} of {view.revs[scope]}" for scope, rev in heard.items() if rev < view.revs[scope]}


def snapshot(cache: Cache) -> Snapshot:
    """What the cache holds, in the form of a view's snapshot."""
    servers = cache.servers
    channels = {known: channel for server in servers.values() for known, channel in server.channels.items()}
    return {
        "servers": {server_id: stored(server.entity) for server_id, server in servers.items()},
        "categories": {
            server_id: {each["id"]: each["name"] for each in server.categories.values()}
            for server_id, server in servers.items()
        },
        "channels": {known: _place(channel) for known, channel in channels.items()},
        "roles": {server_id: server.roles for server_id, server in servers.items()},
        "messages": {
            known: dict(sorted(cache.pages(known).messages.items())) for known in (*channels, *cache.direct_channels)
        },
        "directs": {known: _direct(channel) for known, channel in cache.direct_channels.items()},
        "members": {server_id: _members(server.members) for server_id, server in servers.items()},
        "users": {user_id: _profile(cache.user(user_id)) for user_id in _shown(cache)},
        "friends": {user_id: as_friend(friend) for user_id, friend in cache.friends.all.items()},
        "settings": dict(cache.settings.value),
    }


def differences(here: Any, there: Any, path: str = "") -> Iterator[str]:
    """Where two nested mappings differ, each as one line."""
    if not (isinstance(here, Mapping) and isinstance(there, Mapping)):
        if here != there:
            yield f"{path}: {here!r} here, {there!r} there"
        return
    for key in sorted({*here, *there}, key=str):
        yield from differences(here.get(key, "nothing"), there.get(key, "nothing"), f"{path}/{key}")


def _shown(cache: Cache) -> set[str]:
    """Members and friends."""
    return set(cache.friends.all).union(*(server.members for server in cache.servers.values()))


async def fresh_sight(url: str, token: str, on_received: Callable[[Received], None] | None = None) -> View:
    """All that a user sees, the members and their profiles too, read anew; `on_received` hears all that comes."""
    members: dict[str, Any] = {}
    async with await Bare.connect(url, on_received) as client:
        view = await read_all(client, token)
        users = dict(view.snapshot["users"])
        for server_id in view.snapshot["servers"]:
            page = await client.call("get_server_members", server_id=server_id, amount=PAGE)
            assert page["next_anchor"] is None
            listed = {member["user"]["id"]: member for member in page["members"]}
            members[server_id] = _members(listed)
            users |= {user_id: member["user"] for user_id, member in listed.items()}
    profiles = {user_id: _profile(user) for user_id, user in users.items()}
    return View({**view.snapshot, "members": members, "users": profiles}, view.revs)


def _profile(user: Mapping[str, Any] | None) -> Entity | None:
    """All but the status, and the rev that it moves: of these who shares nothing with somebody is not told."""
    return None if user is None else {name: value for name, value in user.items() if name not in {"status", "rev"}}


def _place(channel: Mapping[str, Any]) -> Entity:
    return {name: channel[name] for name in ("id", "name", "category_id")}


def _direct(channel: Mapping[str, Any]) -> Entity:
    return {name: channel[name] for name in ("id", "user_ids", "rev")}


def _members(members: Mapping[str, Mapping[str, Any]]) -> dict[str, Entity]:
    told = ("roles", "nick", "joined_date", "rev")
    return {user_id: {name: member[name] for name in told} for user_id, member in members.items()}
