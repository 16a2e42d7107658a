"""Someone with much, or little, in their cache: servers, channels that have said something, users one came across."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guildwire import Cache

from shared.ids import new_id
from tests.app import App, fresh_sight, snapshot
from tests.client import Client
from tests.reads import Reads
from tests.recording import Traffic
from tests.rig import Fleet, People, Person, eventually

AT_ONCE = 64
MESSAGES, CHANNELS_ADDED, RENAMED = 60, 10, 30
CHANGES = MESSAGES + CHANNELS_ADDED + RENAMED


@dataclass
class Estate:
    """`writer` owns the servers that `owner` is in and has cached; `others` are some of the cached users."""

    system: Fleet
    owner: Person
    writer: Person
    others: list[Person]
    cache: Path
    servers: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    times_changed: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def scopes(self) -> int:
        return 1 + len(self.servers) + len(self.channels) + len(self.users)

    async def fill(self, people: People, *, servers: int, channels: int, users: int) -> None:
        """All are online from now on: that they come back later changes nothing."""
        writer, owner = await people.connect(self.writer), await people.connect(self.owner)
        await asyncio.gather(*(people.connect(other) for other in self.others))
        for made in await few_at_once(writer.call("add_server", name=f"server {n}") for n in range(servers)):
            self.servers.append(made["id"])
            invite = await writer.call("add_invite", server_id=made["id"])
            await owner.call("join_server", invite=invite["code"])
        listings = await few_at_once(writer.call("get_server_channels", server_id=each) for each in self.servers)
        self.channels = [channel["id"] for listing in listings for channel in listing["categories"][0]["channels"]]
        self.channels += await self.add_channels(writer, channels - servers)
        await few_at_once(self.say(writer, channel_id) for channel_id in self.channels)
        acting = [self.owner.id, self.writer.id, *(other.id for other in self.others)]
        self.users = acting + copies_of(self.system, self.owner.id, users - len(acting))

    async def save(self) -> None:
        """Loads all of it over a connection, and saves it."""
        app = await App.connect([self.system.url(0)], self.owner.token)
        await app.client.load_users(self.users)
        assert len(app.cache.servers) == len(self.servers)
        assert app.cache.positions.claims().keys() >= {f"channel:{each}" for each in self.channels}
        assert len(app.cache.positions.claims()) == self.scopes
        app.save(self.cache)
        await app.close()

    async def change(self, people: People) -> None:
        """As many changes of every kind in a small estate as in a large one."""
        self.times_changed += 1
        writer = await people.connect(self.writer)
        others = await asyncio.gather(*(people.connect(other) for other in self.others))
        said = (self.say(writer, self.channels[number * 7 % len(self.channels)]) for number in range(MESSAGES))
        named = (each.call("update_user", changes={"display_name": f"name {next(self.numbers)}"}) for each in others)
        await few_at_once([*said, *named])
        await self.add_channels(writer, CHANNELS_ADDED)

    async def say(self, writer: Client, channel_id: str) -> None:
        await writer.call("add_message", channel_id=channel_id, content=f"message {next(self.numbers):6}")

    async def add_channels(self, writer: Client, amount: int) -> list[str]:
        """Evenly in all servers."""
        in_turn = itertools.islice(itertools.cycle(self.servers), amount)
        names = (f"channel {next(self.numbers):6}" for _ in range(amount))
        added = (
            writer.call("add_channel", server_id=each, name=name) for each, name in zip(in_turn, names, strict=True)
        )
        return [made["id"] for made in await few_at_once(added)]


async def make_estate(people: People, cache: Path, *, servers: int, channels: int, users: int) -> Estate:
    """Made, loaded and saved."""
    owner, writer, *others = await people.several("owner", "writer", *["other"] * RENAMED)
    estate = Estate(people.system, owner, writer, others, cache)
    await estate.fill(people, servers=servers, channels=channels, users=users)
    await estate.save()
    return estate


async def few_at_once(work: Iterable[Awaitable[Any]]) -> list[Any]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: Awaitable[Any]) -> Any:
        async with room:
            return await each

    return await asyncio.gather(*map(one, work))


def copies_of(system: Fleet, user_id: str, amount: int) -> list[str]:
    """More users, as registering makes them, but without the time that their passwords would take."""
    user = system.db.users.find_one({"_id": user_id})
    entries = list(system.db.journal.find({"scope": f"user:{user_id}"}, {"_id": 0}))
    assert user is not None
    assert entries
    ids = [new_id() for _ in range(amount)]
    system.db.users.insert_many([{**user, "_id": each, "name": f"copy.{each}"} for each in ids])
    system.db.journal.insert_many([{**entry, "scope": f"user:{each}"} for each in ids for entry in entries])
    return ids


@dataclass(frozen=True)
class Return:
    """What coming back took, on the wire and in the database."""

    traffic: Traffic
    reads: Reads


async def come_back(estate: Estate, gateway: int) -> Return:
    """With the cache as it was saved; until it is again what a fresh read shows."""
    app = App([estate.system.url(gateway)], Cache.load(estate.cache))
    try:
        with Reads(estate.system.db) as reads:
            await app.client.authenticate(estate.owner.token)
            await eventually(lambda: not app.cache.stale(), "all of it is current", 30)
        assert app.recording.broken_rules() == []
        assert snapshot(app.cache) == (await fresh_sight(estate.system.url(), estate.owner.token)).snapshot
        return Return(app.recording.traffic, reads)
    finally:
        await app.close()
