"""A client's cache, by the rules of the protocol's section 2. It is told what came, in order; it asks nobody itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from guildwire.cache import disk
from guildwire.cache.directs import DIRECTS, Directs
from guildwire.cache.entities import Entity
from guildwire.cache.friends import FRIENDS, Friends
from guildwire.cache.guilds import SERVERS, Guilds
from guildwire.cache.messages import MESSAGES, Messages
from guildwire.cache.own_settings import SETTINGS, OwnSettings
from guildwire.cache.pages import Pages
from guildwire.cache.positions import Positions, Trust
from guildwire.cache.reads import READS, Reads
from guildwire.cache.servers import CHANNELS, MEMBERS, ROLES, SERVER, CachedServer, channel_scope, server_scope
from guildwire.cache.users import MOST_USERS, Users, user_scope
from guildwire.changes import Board, Change
from guildwire.types import Message, User

LARGEST_CLAIM = 56 * 1024
"""Bytes of positions in one frame, which may have 64 KiB."""

USERS_PER_REQUEST = 100
PAGE = 50

Params = Mapping[str, Any]
Handler = Callable[[str, int, Params], None]


@dataclass(frozen=True)
class Claim:
    """Positions for one `resume`, and the servers among them whose members are loaded."""

    scopes: dict[str, int] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ask:
    """A request whose reply makes a part current again."""

    method: str
    params: dict[str, Any]
    scope: str
    part: str


class Cache:
    """What one user may see, as far as it was loaded. Read it at any time; never change what it returns."""

    def __init__(self, *, most_users: int = MOST_USERS) -> None:
        self.user_id = ""
        self.epoch = ""
        self.board = Board()
        self.positions = Positions()
        self.users = Users(self.positions, self.board.post, most_users)
        self.guilds = Guilds(self.positions, self.users, self.board.post, self._drop_pages, self._begin_pages)
        self.directs = Directs(self.positions, self.users, self.board.post, self._drop_pages, self._begin_pages)
        self.reads = Reads(self.positions, self.board.post)
        self.messages = Messages(self.positions, self.users, self.board.post, self._is_listed, self.reads)
        self.friends = Friends(self.positions, self.users, self.board.post)
        self.settings = OwnSettings(self.positions, self.board.post)
        self._events = self._handlers()

    def _handlers(self) -> dict[str, Handler]:
        """Of each event its method, named as it is."""
        named = [
            *("server_added", "server_deleted", "server_updated", "channel_added", "channel_updated"),
            *("channel_deleted", "category_added", "category_updated", "category_deleted", "role_added"),
            *("role_changed", "role_deleted", "member_added", "member_changed", "member_deleted"),
        ]
        handlers: dict[str, Handler] = {name: getattr(self.guilds, name) for name in named}
        for name in ("message_added", "message_changed", "message_deleted"):
            handlers[name] = getattr(self.messages, name)
        for name in ("direct_channel_added", "direct_channel_deleted"):
            handlers[name] = getattr(self.directs, name)
        for name in ("friend_added", "friend_changed", "friend_deleted"):
            handlers[name] = getattr(self.friends, name)
        handlers |= {"read_changed": self.reads.read_changed, "settings_changed": self.settings.change}
        return {**handlers, "user_changed": self.users.change}

    # On disk.

    def save(self, path: str | Path) -> None:
        """Writes all of it, or nothing: the file is replaced at once."""
        disk.write(Path(path), disk.dump(self))

    @classmethod
    def load(cls, path: str | Path, *, most_users: int = MOST_USERS) -> Cache:
        """What was saved, to be compared with the server before it is trusted; empty if there is nothing usable."""
        cache = cls(most_users=most_users)
        document = disk.read(Path(path))
        if document is not None:
            try:
                disk.restore(cache, document)
            except (KeyError, TypeError, ValueError, AttributeError):
                return cls(most_users=most_users)
        return cache

    def clear(self) -> None:
        """All of it is void: another database, or another user."""
        self.positions.reset()
        self.guilds.clear()
        self.directs.clear()
        self.reads.clear()
        self.messages.clear()
        self.users.clear()
        self.friends.clear()
        self.settings.clear()
        self.board.post(Change("cache", "deleted"))

    # Reading.

    @property
    def self_scope(self) -> str:
        return f"self:{self.user_id}"

    @property
    def servers(self) -> Mapping[str, CachedServer]:
        return self.guilds.servers

    def user(self, user_id: str) -> User | None:
        return cast("User | None", self.users.get(user_id))

    def channel(self, channel_id: str) -> Entity | None:
        server = self.guilds.servers.get(self.guilds.server_of.get(channel_id, ""))
        return server.channels.get(channel_id) if server else None

    @property
    def direct_channels(self) -> Mapping[str, Entity]:
        """`{id, user_ids, last_message_id, rev}` by id."""
        return self.directs.channels

    def read_state(self, channel_id: str) -> Entity | None:
        """`{read_id, mentions, last_message_id}`, where the read states were loaded."""
        return self.reads.states.get(channel_id)

    def pages(self, channel_id: str) -> Pages:
        """The channel's known messages; an empty one if there are none."""
        return self.messages.pages.get(channel_id) or Pages()

    def message(self, channel_id: str, message_id: int) -> Message | None:
        return cast("Message | None", self.pages(channel_id).messages.get(message_id))

    def made_with(self, nonce: str) -> int | None:
        """The id of the message that I made with it, once its event came."""
        return self.messages.made_with(nonce)

    def is_loaded(self, scope: str, part: str) -> bool:
        return self.positions.part(scope, part) is not None

    def is_current(self, scope: str, part: str) -> bool:
        """Loaded, and kept up to date by events."""
        known = self.positions.part(scope, part)
        return known is not None and known.trust is Trust.LIVE

    def _is_listed(self, channel_id: str) -> bool:
        return channel_id in self.guilds.server_of or channel_id in self.directs.channels

    # A connection's life.

    def disconnected(self) -> None:
        self.positions.disconnect()

    def claims(self, first: Sequence[str] = ()) -> list[Claim]:
        """My positions in as many frames as they need; what the app has open goes first."""
        positions = self.positions.claims()
        rank = {scope: index for index, scope in enumerate((self.self_scope, *first))}
        kinds = ("self", "server", "channel", "user")

        def place(scope: str) -> tuple[int, int]:
            return rank.get(scope, len(rank)), kinds.index(scope.partition(":")[0])

        claims: list[Claim] = []
        size = LARGEST_CLAIM
        for scope in sorted(positions, key=place):
            loaded_members = self.positions.part(scope, MEMBERS) is not None
            # As JSON: quotes, colon, comma and a space; once more, within a list, where its members are loaded.
            length = len(scope) + len(str(positions[scope])) + 6 + loaded_members * (len(scope) + 4)
            if size + length > LARGEST_CLAIM:
                claims.append(Claim())
                size = 0
            size += length
            claims[-1].scopes[scope] = positions[scope]
            if loaded_members:
                claims[-1].members.append(scope.partition(":")[2])
        return claims

    def claimed(self, claims: Iterable[Claim]) -> None:
        """These are on their way to the server."""
        for claim in claims:
            self.positions.claim(claim.scopes)

    def authenticated(self, result: Params, claim: Claim) -> None:
        """The reply to `authenticate`, with what was claimed in it. Another epoch or user voids everything."""
        user_id, epoch = result["user"]["id"], result["epoch"]
        if (self.user_id, self.epoch) != (user_id, epoch):
            if self.user_id:
                self.clear()
            self.user_id, self.epoch, self.users.me, self.reads.me = user_id, epoch, user_id, user_id
        for scope, rev in result["current"].items():
            self.positions.begin(scope, claim.scopes.get(scope, rev))
        self.users.take(result["user"])
        self.reads.came_back(self.reads.scopes - set(self.positions.scopes()))
        self.settled(result, claim)

    def settled(self, result: Params, claim: Claim) -> None:
        """The reply to a claim: what is current, what is stale, what is gone."""
        for scope in result["gone"]:
            self._drop(scope)
        self.positions.settle(claim.scopes, result["current"])
        self.reads.came_back(claim.scopes.keys() - result["current"].keys())

    def _drop(self, scope: str) -> None:
        kind, _, identity = scope.partition(":")
        match kind:
            case "server":
                self.guilds.drop_server(identity)
            case "channel":
                self.guilds.drop_channel(identity)
                self.directs.drop(identity)
            case "user":
                self.users.drop(identity)

    def _drop_pages(self, channel_id: str) -> None:
        self.messages.drop(channel_id)
        self.reads.drop(channel_id)

    def _begin_pages(self, channel_id: str) -> None:
        self.messages.begin(channel_id)

    # What comes.

    def event(self, name: str, params: Params) -> None:
        scope = params.get("scope")
        if name == "forgotten":
            for each in params["scopes"]:
                self._drop(each)
        elif name == "typing_started":
            self.board.post(Change("typing", "added", params["user_id"], params["channel_id"]))
        if scope is None:
            return
        rev = params["rev"]
        self.positions.heard(scope, rev)
        if (handler := self._events.get(name)) is not None:
            handler(scope, rev, params)
        if name in _NEW_CHANNELS:
            self.reads.doubt()
        if not params.get("more"):
            self.positions.passed(scope, rev)

    def reply(self, method: str, params: Params, result: Any, asked: int | None = None) -> bool:
        """`asked`: `reads.news` at the request, else as now. False: it came too late, and may be asked for again."""
        if method.startswith("get_"):
            return self._read(method, params, result, asked)
        self._wrote(method, params, result, asked)
        return True

    def _read(self, method: str, params: Params, result: Params, asked: int | None) -> bool:
        scope = self._scope_read(method, params)
        if scope is not None and "rev" in result and self.positions.too_old(scope, result["rev"]):
            return False
        match method:
            case "get_message_chunk":
                self.messages.read(params, result)
            case "get_user":
                self._read_user(params.get("user_id") or self.user_id, result)
            case "get_users":
                self.users.take_all(result["users"])
                self.users.confirm(params["users"])
            case "get_server_channel":
                self.guilds.read_channel(params, result)
            case _ if params.get("user_id") in (None, self.user_id):
                self._read_own(method, params, result, asked)
        return True

    def _read_own(self, method: str, params: Params, result: Params, asked: int | None) -> None:
        """What I have: my lists, and my servers as I see them."""
        server = self.guilds.servers.get(params.get("server_id", ""))
        match method:
            case "get_direct_channels":
                self.directs.read(self.self_scope, result)
            case "get_read_states":
                self.reads.read(self.self_scope, params, result, asked)
            case "get_friends":
                self.friends.read(self.self_scope, params, result)
            case "get_settings":
                self.settings.read(self.self_scope, result)
            case "get_servers":
                self.guilds.listed(self.self_scope, result)
            case _ if server is not None:
                self.guilds.read(method, server, params, result)

    def _scope_read(self, method: str, params: Params) -> str | None:
        if method == "get_message_chunk":
            return channel_scope(params["channel_id"])
        if method.startswith("get_server") and "server_id" in params:
            return server_scope(params["server_id"])
        return self.self_scope if method in _OF_SELF else None

    def _read_user(self, user_id: str, result: Params) -> None:
        if result["full"]:
            self.users.take(result)
            return
        self.users.take_all(result["updated"])
        self.users.confirm([user_id])

    def _wrote(self, method: str, params: Params, result: Any, asked: int | None) -> None:
        verb, _, what = method.partition("_")
        if verb not in {"add", "update"}:
            return
        match what:
            case "message":
                self.messages.wrote(result)
            case "direct_channel":
                self.directs.wrote(self.self_scope, result)
            case "read_state":
                self.reads.wrote(result, asked)
            case "user":
                self.users.take(result)
            case "friend":
                self.friends.wrote(self.self_scope, result)
            case "settings":
                self.settings.wrote(self.self_scope, result)
            case "server" | "channel" | "category" | "role" | "member" if method != "add_server":
                server_id = params.get("server_id") or result["server_id"]
                self.guilds.wrote(what, server_scope(server_id), result)

    # What to ask again.

    def stale(self, first: Sequence[str] = ()) -> list[Ask]:
        """What must be asked for again, the most wanted first."""
        rank = {scope: index for index, scope in enumerate((self.self_scope, *first))}
        kinds = ("self", "server", "channel")
        asks: list[tuple[tuple[int, int], Ask]] = []
        users: dict[str, int] = {}
        for scope, name, part in self.positions:
            kind, _, identity = scope.partition(":")
            if part.trust is not Trust.STALE and not part.relist:
                continue
            if kind == "user":
                users[identity] = part.rev
                continue
            since = None if part.relist and part.trust is Trust.LIVE else part.rev
            asks.append(((rank.get(scope, len(rank)), kinds.index(kind)), _ask(scope, name, since)))
        ordered = [ask for _, ask in sorted(asks, key=lambda each: each[0])]
        numbered = list(users.items())
        for start in range(0, len(numbered), USERS_PER_REQUEST):
            wanted = dict(numbered[start : start + USERS_PER_REQUEST])
            ordered.append(Ask("get_users", {"users": wanted}, user_scope(numbered[start][0]), "user"))
        return ordered

    def refused(self, ask: Ask, reason: str) -> None:
        """A question that the server did not answer: there is no such thing for me, or no such call."""
        identity = ask.scope.partition(":")[2]
        if ask.part == "user":
            for user_id in ask.params["users"]:
                self.positions.unload(user_scope(user_id), "user")
        elif reason == "not_found":
            self._drop(ask.scope)
        elif ask.part in {ROLES, MEMBERS}:
            self.guilds.unload(identity, ask.part)
        else:
            self.positions.unload(ask.scope, ask.part)


def _ask(scope: str, part: str, since: int | None) -> Ask:
    identity = scope.partition(":")[2]
    params: dict[str, Any] = {} if since is None else {"since": since}
    if part == READS:
        return Ask("get_read_states", {}, scope, part)
    if part in _OWN_METHODS:
        return Ask(_OWN_METHODS[part], params, scope, part)
    if part == MESSAGES:
        page = {"channel_id": identity, "amount": PAGE, "anchor": 0, "direction": False}
        return Ask("get_message_chunk", {**page, **params}, scope, part)
    if part == MEMBERS:
        params["amount"] = 100
    return Ask(_METHODS[part], {"server_id": identity, **params}, scope, part)


_NEW_CHANNELS = frozenset({"server_added", "channel_added", "direct_channel_added"})
_OWN_METHODS = {
    SERVERS: "get_servers",
    FRIENDS: "get_friends",
    SETTINGS: "get_settings",
    DIRECTS: "get_direct_channels",
}
_OF_SELF = frozenset({*_OWN_METHODS.values(), "get_read_states"})
_METHODS = {
    SERVER: "get_server",
    CHANNELS: "get_server_channels",
    ROLES: "get_server_roles",
    MEMBERS: "get_server_members",
}
