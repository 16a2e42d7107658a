"""A service process around production's Journal.

It has its own head cache, publisher, repeats and sweeper, and a remembered view of the server's permissions. The
handlers are the model's: they do what production's do with the journal (a requirement on `perm_rev`, reads within the
change's snapshot, a lost race runs all of it again) and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel

from shared.affinity import ANNOUNCE_EVERY, announced_at
from shared.bus import Reply
from shared.errors import GuildwireError, LostRace, NotFound, Unavailable
from shared.protocol import SERVICES
from shared.scopes import channel_scope, self_scope, server_scope
from shared.settings import Settings
from shared.writes import Insert
from tests.model import events
from tests.model.database import Database
from tests.model.driver import Driver
from tests.model.events import SERVER
from tests.model.loop import Process
from tests.model.network import Bus, Network, Respond
from tests.model.oracle import Oracle
from tests.model.production import Production
from tests.model.world import World

SERVICE = "services"
EPOCH = "1"
_ATTEMPTS = 40
_PAUSE, _PAUSE_MOST = 0.004, 0.25
_WITHIN = 2.5
"""Seconds a write may take."""


class Done(BaseModel):
    """What a write answers."""

    scope: str = ""
    rev: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a write; `fresh` from the second on: nothing remembered may be used."""

    origin: Any
    params: Mapping[str, Any]
    user_id: str
    fresh: bool = False


class Replica:
    """`write` runs any of the methods below, as the service runner would."""

    def __init__(
        self, world: World, production: Production, database: Database, network: Network, oracle: Oracle, name: str
    ) -> None:
        self.process = Process(name)
        self.bus = Bus(network, self.process)
        self._world = world
        self._production = production
        self._oracle = oracle
        self._known: tuple[int, frozenset[str]] | None = None
        self._store = production.store_on(Driver(world, database, name))
        epoch = production.modules["shared.epoch"].Epoch(self._store)
        epoch.value = EPOCH  # read before a process serves
        settings = Settings(name=name, head_cache=100)
        self._journal = production.journal.Journal(self._store, self.bus, settings, SERVICE, epoch)
        self._spawn(self._journal.run())
        self._spawn(self._announce())

    def write(self, method: str, params: Mapping[str, Any], user_id: str, respond: Respond) -> None:
        self._world.note(self.process.name, f"{method} {params} for {user_id}")
        self._spawn(self._answer(getattr(self, method), params, user_id, respond))

    def prune(self, kept: float) -> None:
        """Removes what was written more than so many seconds ago."""
        pruner = self._production.modules["shared.journal.pruner"].Pruner

        async def prune() -> None:
            with suppress(GuildwireError, LostRace):  # then it goes on the next time
                await pruner(self._store, self.process.name, days=kept / 86_400, interval=1.0).prune()

        self._spawn(prune())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._world.loop.create_task(work, context=self.process.context)

    async def _announce(self) -> None:
        """Says on the bus that it lives, under the name of every service: all are in this process."""
        while True:
            for service in SERVICES:
                self.bus.say(announced_at(service), self.process.name.encode())
            await asyncio.sleep(ANNOUNCE_EVERY)

    async def _answer(
        self, handle: Callable[[Call], Awaitable[Done]], params: Mapping[str, Any], user_id: str, respond: Respond
    ) -> None:
        deadline = self._production.clock.monotonic() + _WITHIN
        origin = self._production.journal.Origin({}, deadline)
        try:
            done = await self._until_won(handle, origin, params, user_id)
        except GuildwireError as error:
            respond(reply(error.wire(), status="error"))
        else:
            if "content" in params:
                self._oracle.acknowledged(params["content"], done.scope, done.rev)
            respond(reply(done.model_dump()))

    async def _until_won(
        self, handle: Callable[[Call], Awaitable[Done]], origin: Any, params: Mapping[str, Any], user_id: str
    ) -> Done:
        for attempt in range(_ATTEMPTS):
            try:
                return await handle(Call(origin, params, user_id, fresh=attempt > 0))
            except LostRace:
                if origin.expired:
                    break
                await asyncio.sleep(self._world.loop.random.uniform(0, min(_PAUSE * 2**attempt, _PAUSE_MOST)))
        raise Unavailable

    # The methods.

    async def add_message(self, call: Call) -> Done:
        perm_rev, members = await self._rights(fresh=call.fresh)
        if call.user_id not in members:
            # A membership may be remembered, its absence never: joining raises no perm_rev.
            perm_rev, members = await self._rights(fresh=True)
        if call.user_id not in members:
            raise NotFound("channel")
        scope = channel_scope(call.params["channel_id"], SERVER)
        journal = self._production.journal

        def write(head: Any) -> Any:
            event = events.MessageAdded(token=call.params["content"], id=head.last_id + 1)
            insert = Insert("texts", {"text": event.token})
            return journal.Written(event, [insert], Done(scope=scope.name, rev=head.rev + 1), event.id)

        requires = [journal.Requirement("servers", {"_id": SERVER, "perm_rev": perm_rev})]
        done: Done = await self._journal.append(call.origin, journal.Append(scope, write, requires, perm_rev))
        return done

    async def add_channel(self, call: Call) -> Done:
        scope, name = server_scope(SERVER), call.params["name"]
        async with self._journal.change(call.origin, scope) as change:
            if await change.find_one("members", {"user_id": call.user_id}) is None:
                raise NotFound("server")
            change.insert("channels", {"_id": name})
            change.record(scope, events.ChannelAdded(channel=events.channel(name), at=0))
            return Done(scope=scope.name, rev=change.rev(scope))

    async def join_server(self, call: Call) -> Done:
        scope, mine = server_scope(SERVER), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            if await change.find_one("members", {"user_id": call.user_id}) is not None:
                return Done()
            rev = change.rev(scope)
            scopes = {scope.name: rev}
            for channel in await change.find("channels", {}, 0):
                name = f"channel:{channel['_id']}"
                head = await change.find_one("journal", {"scope": name}, sort=[("rev", -1)])
                scopes[name] = head["rev"] if head else 0
            change.insert("members", {"user_id": call.user_id, "server_id": SERVER})
            change.update("servers", {"_id": SERVER}, {"$inc": {"num_members": 1}})
            change.record(scope, events.MemberAdded(member={"user": {"id": call.user_id}, "roles": []}))
            change.record(
                mine, events.ServerAdded(server={"id": SERVER, "me": {"roles": []}}, channels=[], scopes=scopes)
            )
            return Done(scope=scope.name, rev=rev)

    async def leave_server(self, call: Call) -> Done:
        scope, mine = server_scope(SERVER), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            if await change.find_one("members", {"user_id": call.user_id}) is None:
                return Done()
            change.delete("members", {"user_id": call.user_id})
            gone = {"$inc": {"num_members": -1}, "$set": {"perm_rev": change.rev(scope)}}
            change.update("servers", {"_id": SERVER}, gone)
            change.record(scope, events.MemberDeleted(user_id=call.user_id))
            change.record(mine, events.ServerDeleted(server_id=SERVER, why="left"))
            return Done(scope=scope.name, rev=change.rev(scope))

    async def change_permissions(self, call: Call) -> Done:
        """Stands for whatever raises `perm_rev`; nobody's sight is another after it, though with `rules` it may be."""
        scope = server_scope(SERVER)
        async with self._journal.change(call.origin, scope) as change:
            change.update("servers", {"_id": SERVER}, {"$set": {"perm_rev": change.rev(scope)}})
            change.record(scope, events.RoleChanged(changes=dict(call.params)))
            return Done(scope=scope.name, rev=change.rev(scope))

    async def _rights(self, *, fresh: bool) -> tuple[int, frozenset[str]]:
        """The server's permissions as remembered. The server is read first, so they are never newer than its rev."""
        if self._known is None or fresh:
            self._known = None
            with self._production.store.translated():
                server = await self._store["servers"].find_one({"_id": SERVER})
                members = await self._store["members"].find({}).to_list(None)
            self._known = server["perm_rev"], frozenset(member["user_id"] for member in members)
        return self._known


def reply(result: Any, scopes: Mapping[str, int] | None = None, status: str = "ok") -> Reply:
    headers = {"status": status, "scopes": orjson.dumps(scopes or {}).decode(), "epoch": EPOCH}
    return Reply(orjson.dumps(result), headers)
