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
from guildwire.cache.guilds import SERVERS
from guildwire.cache.messages import MESSAGES
from guildwire.cache.servers import CHANNELS, MEMBERS, SERVER
from guildwire.loading import Unsettled

from tests.client import Client as Bare
from tests.recording import Recording
from tests.view import PAGE, Entity, Snapshot, View, fresh_view, stored

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
        if not cache.is_loaded(cache.self_scope, SERVERS):
            yield (client.load_servers,)
        for server_id, server in cache.servers.items():
            scope = f"server:{server_id}"
            whole = all(cache.is_loaded(scope, part) for part in (SERVER, CHANNELS))
            if not whole or "owner_id" not in server.entity:
                yield client.load_server, server_id
            if not (server.all_members and cache.is_loaded(scope, MEMBERS)):
                yield client.load_members, server_id
            for channel_id in server.channels:
                if not (cache.is_loaded(f"channel:{channel_id}", MESSAGES) and cache.pages(channel_id).complete):
                    yield client.load_messages, channel_id, ALL

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
                assert snapshot(self.cache) == view.snapshot
                raise AssertionError(f"behind: {self._is_behind(view)}; stale: {self.cache.stale()}")
            if not self.cache.stale():
                await self.load()
            await asyncio.sleep(0.01)
        assert self.recording.broken_rules() == []
        ahead = {scope: rev for scope, rev in view.revs.items() if (self.cache.positions.rev(scope) or 0) > rev}
        assert not ahead, f"heard more than the database has: {ahead}"

    def _is_behind(self, view: View) -> dict[str, str]:
        """Of a server not everything is heard, so its head is no measure."""
        heard = {scope: self.cache.positions.rev(scope) or 0 for scope in view.revs if not scope.startswith("server:")}
        return {scope: f"at {rev} of {view.revs[scope]}" for scope, rev in heard.items() if rev < view.revs[scope]}


def snapshot(cache: Cache) -> Snapshot:
    """What the cache holds, in the form of a view's snapshot."""
    servers = cache.servers
    channels = {known: channel for server in servers.values() for known, channel in server.channels.items()}
    return {
        "servers": {server_id: stored(server.entity) for server_id, server in servers.items()},
        "channels": {known: _place(channel) for known, channel in channels.items()},
        "messages": {known: dict(sorted(cache.pages(known).messages.items())) for known in channels},
        "members": {server_id: _members(server.members) for server_id, server in servers.items()},
        "users": {user_id: cache.user(user_id) for server in servers.values() for user_id in server.members},
    }


async def fresh_sight(url: str, token: str) -> View:
    """All that a user sees, the members and their profiles too, read anew."""
    view = await fresh_view(url, token)
    members: dict[str, Any] = {}
    users: dict[str, Any] = {}
    async with await Bare.connect(url) as client:
        await client.call("authenticate", token=token)
        for server_id in view.snapshot["servers"]:
            page = await client.call("get_server_members", server_id=server_id, amount=PAGE)
            assert page["next_anchor"] is None
            listed = {member["user"]["id"]: member for member in page["members"]}
            members[server_id] = _members(listed)
            users |= {user_id: member["user"] for user_id, member in listed.items()}
    revs = {f"user:{user_id}": user["rev"] for user_id, user in users.items()}
    return View({**view.snapshot, "members": members, "users": users}, {**view.revs, **revs})


def _place(channel: Mapping[str, Any]) -> Entity:
    return {name: channel[name] for name in ("id", "name", "category_id")}


def _members(members: Mapping[str, Mapping[str, Any]]) -> dict[str, Entity]:
    told = ("roles", "nick", "joined_date", "rev")
    return {user_id: {name: member[name] for name in told} for user_id, member in members.items()}
