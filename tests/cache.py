"""The client's model of what it may see, by the rules of the protocol's section 2 and nothing else.

A `Cache` is fed everything one connection receives, in order. It never asks and never waits; what breaks a rule is
written down in `violations`. A `Device` is a connection with such a cache that also loads what the cache lacks.
`tests.view` reads the same things anew over a connection of its own: the two must become equal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from tests.cache_of_self import CacheOfSelf
from tests.client import PATIENCE, Client, Event, Received, Reply, RpcError
from tests.order import DENSE, Order, kind_of
from tests.own import Own
from tests.structure import Structure, change
from tests.view import Entity, Snapshot, View, as_shown, flat, page_of, stored


@dataclass
class _Channel:
    """What is known of one channel; `complete` once its pages were read down to the oldest message."""

    server_id: str
    entity: Entity
    complete: bool = False
    rev: int = 0


@dataclass
class Cache(CacheOfSelf):
    """One user's model on one connection; feed it with `apply`."""

    violations: list[str] = field(default_factory=list)
    listed: bool = False
    servers: dict[str, Entity] = field(default_factory=dict)
    channels: dict[str, _Channel] = field(default_factory=dict)
    structures: dict[str, Structure] = field(default_factory=dict)
    _orders: dict[str, Order] = field(default_factory=dict)
    _channels_known: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    _scopes_of: dict[str, set[str]] = field(default_factory=dict)
    """All channels of a server since I came in, also when a reply said it is gone: the event is still to come."""
    _newest: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own = Own(self._begin, self._violate)

    def apply(self, item: Received) -> None:
        if isinstance(item, Event):
            self._apply_event(item)
            self.own.hear_users(item.params)
        elif item.error is None:
            self._apply_reply(item)
            self.own.hear_users(item.result)

    def snapshot(self) -> Snapshot:
        """What the cache holds, in the form of a `View`'s snapshot."""
        mine = {known: channel for known, channel in self.channels.items() if channel.server_id in self.servers}
        return {
            **self.own.snapshot(),
            "servers": {known: stored(server) for known, server in self.servers.items()},
            "categories": {known: self._structure(known).names() for known in self.servers},
            "channels": {known: channel.entity for known, channel in mine.items()},
            "roles": {known: self._structure(known).roles for known in self.servers},
            "messages": {known: dict(sorted(self.messages.get(known, {}).items())) for known in (*mine, *self.directs)},
            "directs": dict(self.directs),
        }

    def position(self, scope: str) -> int:
        return self._order(scope).position or 0

    def lacks(self) -> list[tuple[str, Entity]]:
        """The requests whose replies would complete the cache."""
        if not self.listed:
            return [("get_servers", {})]
        lacking = self.own.lacks()
        for server_id, server in self.servers.items():
            if "owner_id" not in server:
                lacking.append(("get_server", {"server_id": server_id}))
            if server_id not in self._channels_known:
                lacking.append(("get_server_channels", {"server_id": server_id}))
            if not self._structure(server_id).roles_known:
                lacking.append(("get_server_roles", {"server_id": server_id}))
        for channel_id, channel in self.channels.items():
            if not channel.complete:
                lacking.append(("get_message_chunk", page_of(channel_id)))
        if not self.directs_listed:
            lacking.append(("get_direct_channels", {}))
        incomplete = self.directs.keys() - self.complete_directs
        return lacking + [("get_message_chunk", page_of(channel_id)) for channel_id in sorted(incomplete)]

    # Order.

    def _order(self, scope: str) -> Order:
        return self._orders.setdefault(scope, Order())

    def _violate(self, what: str) -> None:
        self.violations.append(what)

    def _begin(self, scope: str, rev: int) -> None:
        self._gone.discard(scope)
        self._order(scope).begin(rev)

    def _drop(self, scope: str) -> None:
        self._orders.pop(scope, None)
        self._gone.add(scope)

    # Events.

    def _apply_event(self, event: Event) -> None:
        if "scope" not in event.params:
            return
        if event.scope in self._gone:
            self._violate(f"{event.method} of {event.scope} after it was gone")
            return
        if not self._told_of(event.scope):
            self._violate(f"{event.method} of {event.scope} before anything told of it")
        for broken in self._order(event.scope).take(
            event.rev, more=bool(event.params.get("more")), dense=self._is_dense(event.scope)
        ):
            self._violate(f"{event.method} of {event.scope}: {broken}")
        handler = getattr(self, f"_{event.method}", None) or getattr(self.own, event.method, None)
        if handler is not None:
            handler(event)
        server_id = event.scope.partition(":")[2]
        if kind_of(event.scope) == "server" and server_id in self.servers:
            self._note(self._structure(server_id).apply(event))

    def _note(self, broken: str) -> None:
        if broken:
            self._violate(broken)

    def _structure(self, server_id: str) -> Structure:
        return self.structures.setdefault(server_id, Structure())

    def _is_dense(self, scope: str) -> bool:
        """In a direct channel there are entries for gateways alone: somebody left."""
        return kind_of(scope) in DENSE and scope.partition(":")[2] not in self.directs

    def _told_of(self, scope: str) -> bool:
        """What I don't know I hear nothing of; while I have not loaded all, there may be channels I can't know."""
        if kind_of(scope) == "channel" and not (self.listed and self._channels_known >= self.servers.keys()):
            return True
        return self._order(scope).position is not None or scope.partition(":")[2] in self.channels

    def _server_added(self, event: Event) -> None:
        params = event.params
        server: Entity = params["server"]
        categories = params["channels"]
        self._add_server(server)
        self._replace_channels(server["id"], categories, params["scopes"][f"server:{server['id']}"])
        self._structure(server["id"]).list_roles(params["roles"])
        for scope, rev in params["scopes"].items():
            self._begin(scope, rev)
        expected = {f"server:{server['id']}"} | {f"channel:{known}" for known in self._channels_of(server["id"])}
        if set(params["scopes"]) != expected:
            self._violate(f"server_added names the scopes {sorted(params['scopes'])}, not {sorted(expected)}")

    def _server_deleted(self, event: Event) -> None:
        server_id = event.params["server_id"]
        for scope in self._scopes_of.pop(server_id, set()) | {f"server:{server_id}"}:
            self._drop(scope)
        self._forget_server(server_id)

    def _channel_added(self, event: Event) -> None:
        channel: Entity = event.params["channel"]
        entity = {name: channel[name] for name in ("id", "name", "category_id")}
        known = self.channels.get(channel["id"])
        complete = known is not None and known.complete
        self._put_channel(channel["server_id"], entity, event.rev, complete=complete)
        self._begin(f"channel:{channel['id']}", event.params["at"])

    def _channel_updated(self, event: Event) -> None:
        channel = self.channels.get(event.params["channel_id"])
        if channel is None:
            if event.scope.partition(":")[2] in self._channels_known:
                self._violate(f"channel_updated of {event.params['channel_id']}, which I don't see")
            return
        mine = {**channel.entity, "rev": channel.rev}
        self._note(change(mine, event))
        channel.rev = mine.pop("rev")
        channel.entity = mine

    def _channel_deleted(self, event: Event) -> None:
        self._forget_channel(event.params["channel_id"])
        self._drop(f"channel:{event.params['channel_id']}")

    def _server_updated(self, event: Event) -> None:
        if (server := self.servers.get(event.params["server_id"])) is not None:
            self._note(change(server, event))

    def _member_changed(self, event: Event) -> None:
        server = self.servers.get(event.scope.partition(":")[2])
        if server is not None and "me" in server and event.params["user_id"] == self.user_id:
            self._note(change(server["me"], event))

    def _role_deleted(self, event: Event) -> None:
        server = self.servers.get(event.scope.partition(":")[2])
        if server is not None and "me" in server:
            server["me"]["roles"] = [role for role in server["me"]["roles"] if role != event.params["role_id"]]

    def _message_added(self, event: Event) -> None:
        message: Entity = event.params["message"]
        channel_id = message["channel_id"]
        if message["rev"] != event.rev:
            self._violate(f"message_added of {event.scope} at {event.rev} carries a message of rev {message['rev']}")
        if message["id"] <= self._newest.get(channel_id, 0):
            self._violate(f"message {message['id']} of {event.scope} after {self._newest[channel_id]}")
        self._newest[channel_id] = message["id"]
        self._replace(message)
        if message["author_id"] == self.user_id:
            self._read(channel_id, message["id"])

    def _message_changed(self, event: Event) -> None:
        params = event.params
        mine = self.messages.get(event.scope.partition(":")[2], {}).get(params["message_id"])
        if mine is None or mine["rev"] >= event.rev:
            return
        if mine["rev"] != params["was"]:
            self._violate(f"message {params['message_id']} is stale: at {mine['rev']}, changed from {params['was']}")
        changes = dict(params["changes"])
        if "reactions" in changes:
            changes["reactions"] = _reactions(mine, changes["reactions"], params["reaction"], self.user_id)
        mine.update(changes)
        mine["rev"] = event.rev

    def _message_deleted(self, event: Event) -> None:
        self.messages.get(event.scope.partition(":")[2], {}).pop(event.params["message_id"], None)

    # Replies.

    def _apply_reply(self, reply: Reply) -> None:
        handler = getattr(self, f"_replied_{reply.method}", None)
        if handler is not None and reply.result.get("full") is not False:  # a delta is for whoever asked for it
            handler(reply.result, reply.params)

    def _not_older(self, scope: str, rev: int) -> bool:
        """A reply is never older than an event received before it.

        False for one that comes too late to be used: the scope is gone, or was lost and regained since it was sent.
        """
        if scope in self._gone:
            return False
        order = self._order(scope)
        if order.heard is not None and rev < order.heard:
            self._violate(f"a reply on {scope} at {rev} after the event {order.heard}")
        order.begin(rev)
        return rev >= (order.position or 0)

    def _replied_authenticate(self, result: Entity, _params: Entity) -> None:
        for scope, rev in result["current"].items():
            self._begin(scope, rev)

    def _replied_get_servers(self, result: Entity, params: Entity) -> None:
        if "user_id" in params or not self._not_older(f"self:{self.user_id}", result["rev"]):
            return
        self.listed = True
        listed = {server["id"] for server in result["servers"]}
        for server_id in set(self.servers) - listed:
            self._forget_server(server_id)
        for server in result["servers"]:
            self.servers.setdefault(server["id"], server)

    def _replied_get_friends(self, result: Entity, _params: Entity) -> None:
        if self._not_older(f"self:{self.user_id}", result["rev"]):
            self.own.read_friends(result)

    def _replied_get_settings(self, result: Entity, _params: Entity) -> None:
        if self._not_older(f"self:{self.user_id}", result["rev"]):
            self.own.read_settings(result)

    _changed_get_friends, _changed_get_settings = _replied_get_friends, _replied_get_settings

    def _replied_get_server(self, result: Entity, _params: Entity) -> None:
        mine = self.servers.get(result["id"])
        if "me" not in result or mine is None or not self._not_older(f"server:{result['id']}", result["rev"]):
            return
        if "owner_id" not in mine or result["rev"] >= mine["rev"]:
            self.servers[result["id"]] = result

    def _replied_get_server_channels(self, result: Entity, params: Entity) -> None:
        server_id = params["server_id"]
        if "user_id" in params or server_id not in self.servers:
            return
        if self._not_older(f"server:{server_id}", result["rev"]):
            self._replace_channels(server_id, result["categories"], result["rev"])

    def _replied_get_server_roles(self, result: Entity, params: Entity) -> None:
        server_id = params["server_id"]
        if "user_id" in params or server_id not in self.servers:
            return
        if self._not_older(f"server:{server_id}", result["rev"]):
            self._structure(server_id).list_roles(result["roles"])

    def _replied_get_message_chunk(self, result: Entity, params: Entity) -> None:
        channel_id = params["channel_id"]
        if not self._not_older(f"channel:{channel_id}", result["rev"]) or not self._is_listed(channel_id):
            return
        for message in result["messages"]:
            self._replace(message)
        if not (params["direction"] or result["has_more"]):
            if channel_id in self.directs:
                self.complete_directs.add(channel_id)
            else:
                self.channels[channel_id].complete = True

    def _replied_add_message(self, result: Entity, _params: Entity) -> None:
        """Absent, and not newer than what was heard: it was deleted since (a nonce used again, a reply come late)."""
        channel_id = result["channel_id"]
        if not self._is_listed(channel_id):
            return
        if result["id"] in self.messages.get(channel_id, {}) or result["rev"] > self.position(f"channel:{channel_id}"):
            self._replace(result)

    _replied_update_message = _replied_add_message

    # Entities.

    def _add_server(self, server: Entity) -> None:
        self._gone.discard(f"server:{server['id']}")
        self.servers[server["id"]] = server

    def _is_listed(self, channel_id: str) -> bool:
        return channel_id in self.channels or channel_id in self.directs

    def _channels_of(self, server_id: str) -> list[str]:
        return [known for known, channel in self.channels.items() if channel.server_id == server_id]

    def _replace_channels(self, server_id: str, categories: list[Entity], rev: int) -> None:
        self._channels_known.add(server_id)
        self._structure(server_id).list_categories(categories, rev)
        listed = flat(categories)
        for channel_id in self._channels_of(server_id):
            if channel_id not in listed:
                del self.channels[channel_id]
        for channel_id, entity in listed.items():
            self._gone.discard(f"channel:{channel_id}")
            known = self.channels.get(channel_id)
            self._put_channel(server_id, entity, rev, complete=known is not None and known.complete)

    def _put_channel(self, server_id: str, entity: Entity, rev: int, *, complete: bool) -> None:
        self.channels[entity["id"]] = _Channel(server_id, entity, complete, rev)
        self._scopes_of.setdefault(server_id, set()).add(f"channel:{entity['id']}")

    def _forget_server(self, server_id: str) -> None:
        self.servers.pop(server_id, None)
        self.structures.pop(server_id, None)
        self._channels_known.discard(server_id)
        for channel_id in self._channels_of(server_id):
            self._forget_channel(channel_id)

    def _forget_channel(self, channel_id: str) -> None:
        self.channels.pop(channel_id, None)
        self.messages.pop(channel_id, None)
        self.reads.pop(channel_id, None)
        self._newest.pop(channel_id, None)

    def _replace(self, message: Entity) -> None:
        """A whole entity replaces mine if its rev is not older."""
        held = self.messages.setdefault(message["channel_id"], {})
        mine = held.get(message["id"])
        if mine is None or message["rev"] >= mine["rev"]:
            held[message["id"]] = as_shown(message)


def _reactions(mine: Entity, tallies: list[Entity], made: Entity, user_id: str) -> list[Entity]:
    """Counts as everybody is told them; which are mine follows from what I had, and from who reacted."""
    own = {each["emoji"] for each in mine["reactions"] if each["me"]}
    if made["user_id"] == user_id:
        own = own | {made["emoji"]} if made["on"] else own - {made["emoji"]}
    return [{**each, "me": each["emoji"] in own} for each in tallies]


class Device:
    """A connection of one user whose cache is kept complete: it asks for whatever the cache lacks."""

    def __init__(self, client: Client, cache: Cache, token: str) -> None:
        self.client = client
        self.cache = cache
        self.token = token

    @classmethod
    async def connect(cls, url: str, user_id: str, token: str) -> Self:
        """Connects, authenticates, and loads everything."""
        cache = Cache(user_id)
        client = await Client.connect(url, cache.apply)
        device = cls(client, cache, token)
        await client.call("authenticate", token=token)
        await device.load()
        return device

    async def load(self) -> None:
        """Asks until nothing is lacking; what goes away meanwhile needs no answer."""
        deadline = time.monotonic() + PATIENCE
        while lacking := self.cache.lacks():
            if time.monotonic() > deadline:
                raise TimeoutError(f"still lacking {lacking}")
            await asyncio.gather(*(self._ask(method, params) for method, params in lacking))

    async def _ask(self, method: str, params: Entity) -> None:
        try:
            result = await self.client.call(method, **params)
            while method == "get_message_chunk" and result["has_more"]:
                params = {**params, "anchor": result["messages"][0]["id"]}
                result = await self.client.call(method, **params)
        except RpcError as error:
            if error.reason != "not_found":
                raise
            await asyncio.sleep(0.005)  # the event that says so may come after the reply

    async def equals(self, view: View, servers: Mapping[str, int]) -> None:
        """Waits until every scope has passed the view's rev; then the cache must be equal at once, in good order.

        Not everything of a server is heard, so its head is no measure: `servers` says what was, as scope and rev.
        """
        targets = {**view.revs, **{scope: servers.get(scope, 0) for scope in view.revs if kind_of(scope) == "server"}}
        try:
            for kind in ("self", "server", "channel", "user"):
                await self._reach({scope: rev for scope, rev in targets.items() if kind_of(scope) == kind})
                await self.load()
        except TimeoutError:
            raise AssertionError(
                f"behind after {PATIENCE} s: {self._behind(targets)}; {self.cache.violations}"
            ) from None
        if view.snapshot["directs"]:
            with suppress(TimeoutError):  # they are not waited for by their revs
                await self.client.until(lambda: self.cache.snapshot() == view.snapshot, patience=2)
        assert not self.cache.violations
        assert self.cache.snapshot() == view.snapshot
        ahead = {scope: rev for scope, rev in view.revs.items() if self.cache.position(scope) > rev}
        assert not ahead, f"heard more than the database has: {ahead}"

    async def _reach(self, targets: Mapping[str, int]) -> None:
        await self.client.until(lambda: not self._behind(targets), "the view's revs")

    def _behind(self, targets: Mapping[str, int]) -> dict[str, str]:
        return {
            scope: f"at {self.cache.position(scope)} of {rev}"
            for scope, rev in targets.items()
            if self.cache.position(scope) < rev
        }

    async def close(self) -> None:
        await self.client.close()
