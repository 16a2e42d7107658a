"""What the pure decision of `permissions` needs, read from MongoDB and remembered under the server's `perm_rev`.

A remembered view may be old. A write therefore names `still_as_judged` as a requirement of its transaction, and
whatever is answered without a write, be it a refusal, is told only after `unchanged`; if either fails everything is
read and judged again. Who seems to lack something is never refused by what is remembered, only by what was read afresh.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from shared.errors import Forbidden, LostRace, NotFound
from shared.journal import Requirement
from shared.permissions import (
    VIEW_CHANNEL,
    MemberRights,
    Overwrite,
    Overwrites,
    ServerRights,
    channel_rules,
)
from shared.scopes import Scope, channel_scope
from shared.store import Document, Store, translated

_CHANNELS_PER_SERVER = 1000
_MEMBERS_PER_SERVER = 5000


@dataclass(frozen=True, slots=True)
class Sight:
    """A channel as one member may use it. `fresh`: no older than the request."""

    channel_id: str
    server_id: str
    perm_rev: int
    rules: frozenset[str]
    fresh: bool

    @property
    def scope(self) -> Scope:
        return channel_scope(self.channel_id, self.server_id)

    @property
    def still_as_judged(self) -> Requirement:
        return Requirement("servers", {"_id": self.server_id, "perm_rev": self.perm_rev})

    def needs(self, rule: str) -> None:
        """Raises Forbidden, naming the rule, when the member lacks it here; LostRace where that may be out of date."""
        if rule not in self.rules:
            raise Forbidden.lacking(rule) if self.fresh else LostRace


@dataclass(slots=True)
class _Remembered:
    rights: ServerRights
    channels: dict[str, Overwrites] = field(default_factory=dict)
    members: dict[str, MemberRights] = field(default_factory=dict)


class Rights:
    """One process's memory of rights, bounded by the number of servers."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._servers: OrderedDict[str, _Remembered] = OrderedDict()
        self._server_of: OrderedDict[str, str] = OrderedDict()

    def forget_all(self) -> None:
        self._servers.clear()
        self._server_of.clear()

    async def sight(self, channel_id: str, user_id: str, *, fresh: bool = False) -> Sight:
        """How the user may use the channel; raises NotFound when they may not see it.

        `fresh` reads all again that has changed; without it, who seems not to see the channel gets LostRace.
        """
        server_id = await self._server_id(channel_id)
        if fresh:
            await self._forget_if_changed(server_id)
        remembered = await self._remembered(server_id)
        overwrites = await self._overwrites(remembered, channel_id)
        member = await self._member(remembered, user_id)
        rules = channel_rules(remembered.rights, member, overwrites)
        if VIEW_CHANNEL not in rules:
            raise NotFound("channel") if fresh else LostRace
        return Sight(channel_id, server_id, remembered.rights.perm_rev, rules, fresh)

    async def _forget_if_changed(self, server_id: str) -> None:
        if (remembered := self._servers.get(server_id)) is None:
            return
        same = {"_id": server_id, "perm_rev": remembered.rights.perm_rev}
        with translated():
            if await self._store["servers"].find_one(same, projection={"_id": 1}) is None:
                self._servers.pop(server_id, None)

    async def unchanged(self, sight: Sight) -> None:
        """To be awaited after all else was read; raises LostRace when the sight may have changed meanwhile."""
        with translated():
            found = await self._store["servers"].find_one(sight.still_as_judged.filter, projection={"_id": 1})
        if found is None:
            self._servers.pop(sight.server_id, None)
            raise LostRace

    async def _server_id(self, channel_id: str) -> str:
        if (server_id := self._server_of.get(channel_id)) is None:
            with translated():
                channel = await self._store["channels"].find_one({"_id": channel_id}, projection={"server_id": 1})
            if channel is None:
                raise NotFound("channel")
            server_id = str(channel["server_id"])
            self._server_of[channel_id] = server_id
            if len(self._server_of) > self._limit * 10:
                self._server_of.popitem(last=False)
        return server_id

    async def _remembered(self, server_id: str) -> _Remembered:
        if (remembered := self._servers.get(server_id)) is None:
            with translated():
                server = await self._store["servers"].find_one({"_id": server_id})
                roles = await self._store["roles"].find({"server_id": server_id}).to_list(None)
            if server is None:
                raise NotFound("channel")
            # The server was read first: should the roles be newer, its perm_rev is too old and will not hold.
            remembered = self._servers[server_id] = _Remembered(server_rights(server, roles))
            if len(self._servers) > self._limit:
                self._servers.popitem(last=False)
        self._servers.move_to_end(server_id)
        return remembered

    async def _overwrites(self, remembered: _Remembered, channel_id: str) -> Overwrites:
        if (overwrites := remembered.channels.get(channel_id)) is None:
            with translated():
                channel = await self._store["channels"].find_one({"_id": channel_id})
            if channel is None:
                raise NotFound("channel")
            if len(remembered.channels) >= _CHANNELS_PER_SERVER:
                remembered.channels.clear()
            overwrites = remembered.channels[channel_id] = channel_overwrites(channel)
        return overwrites

    async def _member(self, remembered: _Remembered, user_id: str) -> MemberRights | None:
        """A membership may be remembered, its absence never: joining raises no perm_rev."""
        if (member := remembered.members.get(user_id)) is None:
            key = {"server_id": remembered.rights.server_id, "user_id": user_id}
            with translated():
                document = await self._store["members"].find_one(key)
            if document is None:
                return None
            if len(remembered.members) >= _MEMBERS_PER_SERVER:
                remembered.members.clear()
            member = remembered.members[user_id] = member_rights(document)
        return member


def server_rights(server: Document, roles: list[Document]) -> ServerRights:
    return ServerRights(
        server_id=server["_id"],
        owner_id=server["owner_id"],
        everyone_id=server["everyone_id"],
        perm_rev=server["perm_rev"],
        roles={role["_id"]: frozenset(role["rules"]) for role in roles},
    )


def member_rights(member: Document) -> MemberRights:
    return MemberRights(member["user_id"], frozenset(member["roles"]))


def channel_overwrites(channel: Document) -> Overwrites:
    return {
        overwrite["role_id"]: Overwrite(frozenset(overwrite["allow"]), frozenset(overwrite["deny"]))
        for overwrite in channel["roles"]
    }
