"""What events and replies do to the servers in the cache: to their channels, roles and members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.entities import Entity, Outcome, change, replaces
from guildwire.cache.positions import Positions, Trust
from guildwire.cache.servers import (
    CHANNELS,
    MEMBERS,
    ROLES,
    SERVER,
    CachedServer,
    channel_scope,
    server_scope,
    without,
)
from guildwire.cache.users import Users
from guildwire.changes import Action, Change, What

SERVERS = "servers"
"""The part of the self scope that says which servers there are."""

Params = Mapping[str, Any]


class Guilds:
    """`drop_pages` is told of each channel that is not there any more, `begin_pages` of each that is still empty."""

    def __init__(
        self,
        positions: Positions,
        users: Users,
        tell: Callable[[Change], None],
        drop_pages: Callable[[str], None],
        begin_pages: Callable[[str], None],
    ) -> None:
        self._positions = positions
        self._users = users
        self._tell = tell
        self._drop_pages = drop_pages
        self._begin_pages = begin_pages
        self.servers: dict[str, CachedServer] = {}
        self.server_of: dict[str, str] = {}

    def clear(self) -> None:
        self.servers.clear()
        self.server_of.clear()

    def drop_server(self, server_id: str) -> None:
        server = self.servers.pop(server_id, None)
        if server is None:
            return
        for channel_id in server.channels:
            self._forget_channel(channel_id)
        self._positions.drop(server_scope(server_id))
        self._tell(Change("server", "deleted", server_id))

    def drop_channel(self, channel_id: str) -> None:
        server = self.servers.get(self.server_of.get(channel_id, ""))
        self._forget_channel(channel_id)
        if server is not None and server.drop_channel(channel_id):
            self._tell(Change("channel", "deleted", channel_id, server.entity["id"]))

    def unload(self, server_id: str, part: str) -> None:
        """The server has no such call, or not for us: what it told is not kept current."""
        self._positions.unload(server_scope(server_id), part)
        if (server := self.servers.get(server_id)) is not None and part == ROLES:
            server.roles.clear()
        if server is not None and part == MEMBERS:
            server.members.clear()
            server.all_members = False

    # Events of self.

    def server_added(self, scope: str, rev: int, params: Params) -> None:
        if not self._self_takes(scope, rev):
            return
        entity, scopes = params["server"], params["scopes"]
        known = self.servers.get(entity["id"])
        server = self.servers[entity["id"]] = known or CachedServer(entity)
        server.entity = dict(entity)
        at = scopes[server_scope(entity["id"])]
        for name, position in scopes.items():
            self._positions.begin(name, position)
        for part in (SERVER, CHANNELS, ROLES):
            self._positions.load(server_scope(entity["id"]), part, at)
        listed = params["channels"]
        self._replace_channels(server, listed["categories"] if isinstance(listed, dict) else listed, at, keep=False)
        for channel_id in server.channels:
            if scopes.get(channel_scope(channel_id)) == 0:
                self._begin_pages(channel_id)
        server.roles = {role["id"]: role for role in params["roles"]}
        self._tell(Change("server", "changed" if known else "added", entity["id"]))

    def server_deleted(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.part(scope, SERVERS) is None or self._positions.ends(scope, SERVERS, rev):
            self.drop_server(params["server_id"])

    def _self_takes(self, scope: str, rev: int) -> bool:
        """Before the servers were listed their coming and going counts as well."""
        return self._positions.part(scope, SERVERS) is None or self._positions.takes(scope, SERVERS, rev)

    # Events of a server.

    def server_updated(self, scope: str, rev: int, params: Params) -> None:
        server = self._takes(scope, SERVER, rev)
        if server is None:
            return
        server.entity, outcome = change(server.entity, params["changes"], params["was"], rev)
        self._settle(outcome, scope, SERVER, server.entity, Change("server", "changed", server.entity["id"]))

    def channel_added(self, scope: str, rev: int, params: Params) -> None:
        self._positions.begin(channel_scope(params["channel"]["id"]), params["at"])
        if (server := self._takes(scope, CHANNELS, rev)) is not None:
            self._put_channel(server, params["channel"])
            if params["at"] == 0:
                self._begin_pages(params["channel"]["id"])

    def channel_updated(self, scope: str, rev: int, params: Params) -> None:
        server = self._takes(scope, CHANNELS, rev)
        mine = server.channels.get(params["channel_id"]) if server else None
        if server is None or mine is None:
            return
        entity, outcome = change(mine, params["changes"], params["was"], rev)
        if outcome is Outcome.APPLIED:
            self._put_channel(server, entity)
        else:
            self._settle(outcome, scope, CHANNELS, mine)

    def channel_deleted(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.ends(scope, CHANNELS, rev):
            self.drop_channel(params["channel_id"])

    def category_added(self, scope: str, rev: int, params: Params) -> None:
        if (server := self._takes(scope, CHANNELS, rev)) is not None:
            self._put(server, "category", server.categories, params["category"])

    def category_updated(self, scope: str, rev: int, params: Params) -> None:
        if (server := self._takes(scope, CHANNELS, rev)) is not None:
            self._change(server, CHANNELS, "category", server.categories, rev, params)

    def category_deleted(self, scope: str, rev: int, params: Params) -> None:
        server = self._takes(scope, CHANNELS, rev)
        if server is not None and server.drop_category(params["category_id"]):
            self._tell(Change("category", "deleted", params["category_id"], server.entity["id"]))

    def role_added(self, scope: str, rev: int, params: Params) -> None:
        if (server := self._takes(scope, ROLES, rev)) is not None:
            self._put(server, "role", server.roles, params["role"])

    def role_changed(self, scope: str, rev: int, params: Params) -> None:
        if (server := self._takes(scope, ROLES, rev)) is not None:
            self._change(server, ROLES, "role", server.roles, rev, params)

    def role_deleted(self, scope: str, _rev: int, params: Params) -> None:
        """Of use to whatever is loaded, for all of it may name the role."""
        if (server := self._of(scope)) is not None and server.drop_role(params["role_id"]):
            self._tell(Change("role", "deleted", params["role_id"], server.entity["id"]))

    def member_added(self, scope: str, rev: int, params: Params) -> None:
        self._users.take(params["member"]["user"])
        if (server := self._takes(scope, MEMBERS, rev)) is not None:
            self._put_member(server, params["member"])

    def member_changed(self, scope: str, rev: int, params: Params) -> None:
        if params["user_id"] == self._users.me:
            self._change_me(scope, rev, params)
        if (server := self._takes(scope, MEMBERS, rev)) is not None:
            self._change(server, MEMBERS, "member", server.members, rev, {**params, "member_id": params["user_id"]})

    def member_deleted(self, scope: str, rev: int, params: Params) -> None:
        server = self._takes(scope, MEMBERS, rev)
        if server is not None and server.members.pop(params["user_id"], None) is not None:
            self._tell(Change("member", "deleted", params["user_id"], server.entity["id"]))

    def _change_me(self, scope: str, rev: int, params: Params) -> None:
        server = self._takes(scope, SERVER, rev)
        if server is None or "me" not in server.entity:
            return
        me, outcome = change(server.entity["me"], params["changes"], params["was"], rev)
        server.entity = {**server.entity, "me": me}
        self._settle(outcome, scope, SERVER, me, Change("server", "changed", server.entity["id"]))

    # Replies.

    def listed(self, scope: str, result: Params) -> None:
        """`get_servers` of oneself."""
        if result["full"]:
            for server_id in set(self.servers) - {server["id"] for server in result["servers"]}:
                self.drop_server(server_id)
            found = result["servers"]
        else:
            for server_id in result["deleted"]:
                self.drop_server(server_id)
            found = result["updated"]
        for server in found:
            if server["id"] not in self.servers:
                self._take_listing(server)
        self._positions.load(scope, SERVERS, result["rev"])

    def _take_listing(self, listing: Entity) -> None:
        """It speaks of the server's scope, but waits for none of its events: one that came may be missing in it."""
        scope = server_scope(listing["id"])
        quiet_at = self._positions.quiet_at(scope)
        self.servers[listing["id"]] = CachedServer(dict(listing))
        self._positions.load(scope, SERVER, listing["rev"] if quiet_at is None else max(quiet_at, listing["rev"]))
        if quiet_at is None and self._positions.too_old(scope, listing["rev"]):
            self._positions.doubt(scope, SERVER, listing["rev"])
        self._tell(Change("server", "added", listing["id"]))

    def read(self, method: str, server: CachedServer, params: Params, result: Params) -> None:
        """A reply about one server, whole or as what changed."""
        match method:
            case "get_server":
                self._read_server(server, result)
            case "get_server_channels":
                self._read_channels(server, params, result)
            case "get_server_roles":
                self._read_roles(server, result)
            case "get_server_members":
                self._read_members(server, params, result)

    def _read_server(self, server: CachedServer, result: Params) -> None:
        found = [result] if result["full"] else result["updated"]
        for entity in found:
            server.entity = {**server.entity, **without(entity, "full")}
        self._positions.load(server_scope(server.entity["id"]), SERVER, result["rev"])
        if found:
            self._tell(Change("server", "changed", server.entity["id"]))

    def _read_channels(self, server: CachedServer, params: Params, result: Params) -> None:
        scope = server_scope(server.entity["id"])
        part = self._positions.part(scope, CHANNELS)
        if result["full"]:
            keep = part is not None and part.trust is Trust.LIVE and "since" not in params
            self._replace_channels(server, result["categories"], result["rev"], keep=keep)
            self._positions.load(scope, CHANNELS, result["rev"])
            return
        relist = part is not None and part.relist
        self._positions.load(scope, CHANNELS, result["rev"], relist=relist)
        for category in result.get("categories", ()):
            self._put(server, "category", server.categories, category)
        for unwanted in result["deleted"]:
            if server.drop_category(unwanted):
                self._tell(Change("category", "deleted", unwanted, server.entity["id"]))
            self.drop_channel(unwanted)
        for channel in result["updated"]:
            self._put_channel(server, channel)

    def read_channel(self, params: Params, result: Params) -> None:
        server = self.servers.get(self.server_of.get(params["channel_id"], ""))
        for channel in [result] if result["full"] else result["updated"]:
            if server is not None and not self._positions.too_old(server_scope(server.entity["id"]), result["rev"]):
                self._put_channel(server, channel)

    def _read_roles(self, server: CachedServer, result: Params) -> None:
        if result["full"]:
            for role_id in set(server.roles) - {role["id"] for role in result["roles"]}:
                server.drop_role(role_id)
        for role_id in result.get("deleted", ()):
            server.drop_role(role_id)
        for role in result["roles"] if result["full"] else result["updated"]:
            self._put(server, "role", server.roles, role)
        self._positions.load(server_scope(server.entity["id"]), ROLES, result["rev"])
        self._tell(Change("role", "changed", "", server.entity["id"]))

    def _read_members(self, server: CachedServer, params: Params, result: Params) -> None:
        """A page of them, or what changed among them all."""
        scope = server_scope(server.entity["id"])
        if result["full"] and "since" in params:
            server.members.clear()
            server.all_members = False
        for member in result["members"] if result["full"] else result["updated"]:
            self._users.take(member["user"])
            self._put_member(server, member)
        for user_id in result.get("deleted", ()):
            server.members.pop(user_id, None)
        if "since" in params or self._positions.part(scope, MEMBERS) is None:
            self._positions.load(scope, MEMBERS, result["rev"])
        self._tell(Change("member", "changed", "", server.entity["id"]))

    def wrote(self, what: str, scope: str, entity: Params) -> None:
        """A whole entity in the reply to a write. Absent and not newer than what was heard: it was deleted since."""
        part = {"server": SERVER, "channel": CHANNELS, "category": CHANNELS, "role": ROLES, "member": MEMBERS}[what]
        server, known = self._of(scope), self._positions.part(scope, part)
        if server is None or known is None or known.trust is not Trust.LIVE:
            return
        if what == "server":
            if replaces(server.entity, entity):
                server.entity = {**server.entity, **without(entity, "full")}
                self._tell(Change("server", "changed", server.entity["id"]))
            return
        held = {
            "channel": server.channels,
            "category": server.categories,
            "role": server.roles,
            "member": server.members,
        }[what]
        entity_id = entity["user"]["id"] if what == "member" else entity["id"]
        if entity_id not in held and entity["rev"] <= known.rev:
            return
        if what == "channel":
            self._put_channel(server, entity)
        elif what == "member":
            self._put_member(server, entity)
        else:
            self._put(server, "role" if what == "role" else "category", held, entity)

    # Entities.

    def _of(self, scope: str) -> CachedServer | None:
        return self.servers.get(scope.partition(":")[2])

    def _takes(self, scope: str, part: str, rev: int) -> CachedServer | None:
        return self._of(scope) if self._positions.takes(scope, part, rev) else None

    def _put(self, server: CachedServer, what: What, held: dict[str, Entity], entity: Params) -> None:
        mine = held.get(entity["id"])
        if replaces(mine, entity):
            held[entity["id"]] = dict(entity)
            self._tell(Change(what, _put_or_new(mine), entity["id"], server.entity["id"]))

    def _put_channel(self, server: CachedServer, channel: Params) -> None:
        mine = server.channels.get(channel["id"])
        if not replaces(mine, channel):
            return
        server.put_channel(channel)
        self.server_of[channel["id"]] = server.entity["id"]
        if not server.knows_place(mine, channel):
            self._positions.relist(server_scope(server.entity["id"]), CHANNELS)
        self._tell(Change("channel", _put_or_new(mine), channel["id"], server.entity["id"]))

    def _put_member(self, server: CachedServer, member: Params) -> None:
        mine = server.members.get(member["user"]["id"])
        if replaces(mine, member):
            user_id = server.put_member(member)
            self._tell(Change("member", _put_or_new(mine), user_id, server.entity["id"]))

    def _change(
        self, server: CachedServer, part: str, what: What, held: dict[str, Entity], rev: int, params: Params
    ) -> None:
        entity_id = params[f"{what}_id"]
        mine = held.get(entity_id)
        if mine is None:
            return
        held[entity_id], outcome = change(mine, params["changes"], params["was"], rev)
        told = Change(what, "changed", entity_id, server.entity["id"])
        self._settle(outcome, server_scope(server.entity["id"]), part, mine, told)

    def _settle(self, outcome: Outcome, scope: str, part: str, mine: Entity, told: Change | None = None) -> None:
        if outcome is Outcome.BEHIND:
            self._positions.doubt(scope, part, mine["rev"])
        elif outcome is Outcome.APPLIED and told is not None:
            self._tell(told)

    def _replace_channels(self, server: CachedServer, categories: list[Entity], rev: int, *, keep: bool) -> None:
        for channel_id in server.replace_channels(categories, rev, keep=keep):
            self._forget_channel(channel_id)
        for channel_id in server.channels:
            self.server_of[channel_id] = server.entity["id"]
        self._tell(Change("channel", "changed", "", server.entity["id"]))

    def _forget_channel(self, channel_id: str) -> None:
        self.server_of.pop(channel_id, None)
        self._positions.drop(channel_scope(channel_id))
        self._drop_pages(channel_id)


def _put_or_new(mine: Entity | None) -> Action:
    return "added" if mine is None else "changed"
