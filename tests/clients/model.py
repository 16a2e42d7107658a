"""A server in miniature, without a network: it keeps journals, answers and sorts as the protocol's section 2 says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from guildwire import Cache
from guildwire.cache.cache import Claim

from tests.clients.wire import ME, SELF, Json, authenticated, channel, chunk, delta, member, message, role, server, user

Event = tuple[str, Json]

REPLAYED, LISTED = 2, 6
"""The most missed entries that are told one by one, and that make a delta."""


@dataclass
class Scope:
    """`entries` by rev; those up to `horizon` are pruned."""

    entries: dict[int, list[Event]] = field(default_factory=dict)
    head: int = 0
    horizon: int = 0

    def since(self, rev: int) -> list[list[Event]] | None:
        if rev < self.horizon or rev > self.head:
            return None
        return [self.entries[each] for each in range(rev + 1, self.head + 1)]


@dataclass
class Guild:
    entity: Json
    mine: bool = False
    channels: dict[str, Json] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    members: dict[str, Json] = field(default_factory=dict)


class Server:
    """One user's view of it. `down` is what is on its way to their only connection."""

    def __init__(self) -> None:
        self.scopes: dict[str, Scope] = {}
        self.users: dict[str, Json] = {ME: user(), "u2": user("u2")}
        for user_id in self.users:
            self.scope(f"user:{user_id}").head = self.scope(f"user:{user_id}").horizon = 1
        self.guilds: dict[str, Guild] = {}
        self.messages: dict[str, dict[int, Json]] = {}
        self.last: dict[str, int] = {}
        self.down: deque[Callable[[Cache], object]] = deque()
        self.told: dict[str, int] = {}
        self.hears_members: set[str] = set()
        self.connected = False

    def scope(self, name: str) -> Scope:
        return self.scopes.setdefault(name, Scope())

    def see(self, channel_id: str) -> Guild | None:
        """The server of a channel that the user may see."""
        found = (guild for guild in self.guilds.values() if guild.mine and channel_id in guild.channels)
        return next((guild for guild in found if channel_id not in guild.hidden), None)

    # Changes.

    def commit(self, scope: str, *events: Event) -> None:
        entry = self.scope(scope)
        entry.head += 1
        entry.entries[entry.head] = list(events)
        if self.connected and scope in self.told:
            self.tell(scope, entry.head, list(events))

    def tell(self, scope: str, rev: int, events: list[Event]) -> None:
        self.told[scope] = rev
        shown = [event for event in events if self.is_shown(scope, event)]
        for name, params in shown:
            more = {} if (name, params) == shown[-1] else {"more": True}
            frame = {"scope": scope, "rev": rev, **params, **more}
            self.down.append(lambda cache, name=name, frame=frame: cache.event(name, frame))  # type: ignore[misc]
            if name == "member_added":
                self.hear_user(params["member"]["user"])

    def is_shown(self, scope: str, event: Event) -> bool:
        kind, _, identity = scope.partition(":")
        if kind == "channel":
            return self.see(identity) is not None
        if kind == "server" and event[0].startswith("member"):
            return identity in self.hears_members
        return True

    def hear(self, scope: str, rev: int | None = None) -> None:
        self.told.setdefault(scope, self.scope(scope).head if rev is None else rev)

    def hear_user(self, whole: Json) -> None:
        """A whole user came in an event: theirs follow from there."""
        scope = f"user:{whole['id']}"
        if scope not in self.told:
            self.told[scope] = whole["rev"]
            self.replay({scope: whole["rev"]})

    def hear_guild(self, guild: Guild) -> None:
        self.hear(f"server:{guild.entity['id']}")
        for channel_id in guild.channels:
            self.hear(f"channel:{channel_id}")

    def listing(self, guild: Guild) -> list[Json]:
        seen = [each for known, each in guild.channels.items() if known not in guild.hidden]
        return [{"id": None, "name": None, "position": None, "channels": [_short(each) for each in seen]}]

    def make_guild(self, guild_id: str) -> Guild:
        guild = self.guilds[guild_id] = Guild(server(guild_id))
        self.commit(f"server:{guild_id}")
        return guild

    def join(self, guild: Guild) -> None:
        guild.mine = True
        guild_id = guild.entity["id"]
        scope = self.scope(f"server:{guild_id}")
        guild.members[ME] = member(ME, scope.head + 1)
        self.commit(f"server:{guild_id}", ("member_added", {"member": guild.members[ME]}))
        # The server's entry is told to those who were in already; who joins is told where to begin.
        channels = {f"channel:{each}": self.scope(f"channel:{each}").head for each in guild.channels}
        seen = {name: rev for name, rev in channels.items() if name.partition(":")[2] not in guild.hidden}
        positions = {f"server:{guild_id}": scope.head, **seen}
        entity = {**guild.entity, "rev": scope.head}
        params = {"server": entity, "channels": self.listing(guild), "roles": [role("r1")], "scopes": positions}
        self.commit(SELF, ("server_added", params))
        if self.connected:
            self.hear_guild(guild)

    def leave(self, guild: Guild) -> None:
        guild.mine = False
        guild_id = guild.entity["id"]
        del guild.members[ME]
        self.hears_members.discard(guild_id)
        self.told.pop(f"server:{guild_id}", None)
        for channel_id in guild.channels:
            self.told.pop(f"channel:{channel_id}", None)
        self.commit(f"server:{guild_id}", ("member_deleted", {"user_id": ME}))
        self.commit(SELF, ("server_deleted", {"server_id": guild_id, "why": "left"}))

    def change(self, scope: str, name: str, key: str, entity: Json, identity: str | int, changes: Json) -> None:
        """An entity's change, and its event."""
        was, entity["rev"] = entity["rev"], self.scope(scope).head + 1
        entity.update(changes)
        self.commit(scope, (name, {key: identity, "changes": changes, "was": was}))

    def add_channel(self, guild: Guild, channel_id: str) -> None:
        scope = f"server:{guild.entity['id']}"
        made = channel(channel_id, self.scope(scope).head + 1, guild.entity["id"])
        guild.channels[channel_id] = made
        self.messages[channel_id], self.last[channel_id] = {}, 0
        self.commit(scope, ("channel_added", {"channel": dict(made), "at": 0}))
        if guild.mine and self.connected:
            self.hear(f"channel:{channel_id}")

    def hide(self, guild: Guild, channel_id: str) -> None:
        guild.hidden.add(channel_id)
        self.commit(f"server:{guild.entity['id']}", ("channel_deleted", {"channel_id": channel_id}))

    def show(self, guild: Guild, channel_id: str) -> None:
        guild.hidden.discard(channel_id)
        shown = {"channel": dict(guild.channels[channel_id]), "at": self.scope(f"channel:{channel_id}").head}
        self.commit(f"server:{guild.entity['id']}", ("channel_added", shown))

    def say(self, channel_id: str) -> None:
        self.last[channel_id] += 1
        scope, number = f"channel:{channel_id}", self.last[channel_id]
        made = message(number, self.scope(scope).head + 1, channel_id)
        self.messages[channel_id][number] = made
        self.commit(scope, ("message_added", {"message": dict(made)}))

    def unsay(self, channel_id: str, number: int) -> None:
        del self.messages[channel_id][number]
        self.commit(f"channel:{channel_id}", ("message_deleted", {"message_id": number}))

    # A connection.

    def disconnect(self) -> None:
        self.connected = False
        self.down.clear()
        self.told.clear()
        self.hears_members.clear()

    def authenticate(self, claim: Claim) -> None:
        self.connected = True
        found, replay = self.sort(claim)
        result = authenticated(found["current"], found["stale"], found["gone"])
        result["user"] = dict(self.users[ME])
        if not claim.scopes:
            mine = [f"server:{known}" for known, guild in self.guilds.items() if guild.mine]
            result["current"] = {name: self.scope(name).head for name in (SELF, *mine)}
        self.down.append(lambda cache: cache.authenticated(result, claim))
        self.hear(SELF)
        self.hear(f"user:{ME}")
        for guild in self.guilds.values():
            if guild.mine:
                self.hear_guild(guild)
        self.replay(replay)

    def resume(self, claim: Claim) -> None:
        found, replay = self.sort(claim)
        self.down.append(lambda cache: cache.settled(found, claim))
        self.replay(replay)

    def sort(self, claim: Claim) -> tuple[Json, dict[str, int]]:
        self.hears_members |= {each for each in claim.members if self.guilds[each].mine}
        found: Json = {"current": {}, "stale": [], "gone": []}
        for name, position in claim.scopes.items():
            kind, _, identity = name.partition(":")
            missed = self.scope(name).since(position)
            told, head = self.told.get(name, position), self.scope(name).head
            if (kind == "server" and not self.guilds[identity].mine) or (kind == "channel" and not self.see(identity)):
                found["gone"].append(name)
            elif (
                missed is None or self.sight_changed(name, missed) or len(missed) > REPLAYED or position < told != head
            ):
                found["stale"].append(name)
            else:
                found["current"][name] = self.scope(name).head
        return found, {name: claim.scopes[name] for name in found["current"]}

    def sight_changed(self, name: str, missed: list[list[Event]]) -> bool:
        """A channel is never current after its visibility may have changed: here, after any change of its server."""
        kind, _, identity = name.partition(":")
        if kind == "channel":
            guild = self.see(identity)
            return guild is not None and bool(guild.hidden)
        own = {"channel_deleted", "channel_added"} if kind == "server" else {"server_added"}
        return any(event[0] in own for events in missed for event in events)

    def replay(self, positions: dict[str, int]) -> None:
        for name, position in positions.items():
            for rev in range(position + 1, self.scope(name).head + 1):
                self.tell(name, rev, self.scope(name).entries[rev])
            self.told[name] = self.scope(name).head

    # Requests.

    def ask(self, method: str, params: Json) -> None:
        """Answers, or says nothing at all about what the user may not see."""
        result = getattr(self, f"_{method}")(params)
        if result is not None:
            self.down.append(lambda cache: cache.reply(method, params, result))

    def _changed(self, scope: str, params: Json) -> list[Event] | None:
        missed = self.scope(scope).since(params["since"]) if "since" in params else None
        return None if missed is None or len(missed) > LISTED else [event for events in missed for event in events]

    def _get_servers(self, params: Json) -> Json:
        mine = {known: _listed(guild) for known, guild in self.guilds.items() if guild.mine}
        if (events := self._changed(SELF, params)) is None:
            return {"rev": self.scope(SELF).head, "full": True, "servers": list(mine.values())}
        touched = {each["server"]["id"] if "server" in each else each["server_id"] for _, each in events}
        updated = [each for known, each in mine.items() if known in touched]
        return delta(self.scope(SELF).head, updated, sorted(touched - mine.keys()))

    def _get_server(self, params: Json) -> Json | None:
        guild, scope = self.guilds[params["server_id"]], self.scope(f"server:{params['server_id']}")
        if not guild.mine:
            return None
        if (events := self._changed(f"server:{params['server_id']}", params)) is None:
            return {**guild.entity, "rev": scope.head, "full": True}
        touched = any(name == "server_updated" for name, _ in events)
        return delta(scope.head, [{**guild.entity, "rev": scope.head}] if touched else [])

    def _get_server_channels(self, params: Json) -> Json | None:
        guild, scope = self.guilds[params["server_id"]], f"server:{params['server_id']}"
        events = self._changed(scope, params)
        if not guild.mine:
            return None
        if events is None or self.sight_changed(scope, [events]):
            return {"rev": self.scope(scope).head, "full": True, "categories": self.listing(guild)}
        touched = {each["channel_id"] for name, each in events if name == "channel_updated"}
        places = [_place(each) for known, each in guild.channels.items() if known in touched - guild.hidden]
        return delta(self.scope(scope).head, places, sorted(touched & guild.hidden), categories=[])

    def _get_server_roles(self, params: Json) -> Json | None:
        """Nobody changes them here."""
        scope = self.scope(f"server:{params['server_id']}")
        mine = self.guilds[params["server_id"]].mine
        return {"rev": scope.head, "full": True, "roles": [role("r1")]} if mine else None

    def _get_server_members(self, params: Json) -> Json | None:
        guild, scope = self.guilds[params["server_id"]], f"server:{params['server_id']}"
        if not guild.mine:
            return None
        self.hears_members.add(params["server_id"])
        members = {known: {**each, "user": dict(self.users[known])} for known, each in guild.members.items()}
        for user_id in members:
            self.hear(f"user:{user_id}")
        if (events := self._changed(scope, params)) is None:
            listed = {"members": list(members.values()), "next_anchor": None, "total": len(members)}
            return {"rev": self.scope(scope).head, "full": True, **listed}
        named = {each["member"]["user"]["id"] for name, each in events if name == "member_added"}
        named |= {each["user_id"] for name, each in events if name in {"member_changed", "member_deleted"}}
        updated = [each for known, each in members.items() if known in named]
        return delta(self.scope(scope).head, updated, sorted(named - members.keys()))

    def _get_message_chunk(self, params: Json) -> Json | None:
        channel_id = params["channel_id"]
        if self.see(channel_id) is None:
            return None
        head, live = self.scope(f"channel:{channel_id}").head, self.messages[channel_id]
        if (events := self._changed(f"channel:{channel_id}", params)) is None:
            below = [each for number, each in sorted(live.items()) if number < (params["anchor"] or 10**9)]
            page = [dict(each) for each in below[-params["amount"] :]]
            more = len(below) > len(page)
            return chunk(head, *page, has_more=more, last_message_id=self.last[channel_id])
        touched = {each["message"]["id"] if "message" in each else each["message_id"] for _, each in events}
        updated = [dict(each) for number, each in live.items() if number in touched]
        return delta(head, updated, sorted(touched - live.keys()), users=[])

    def _get_users(self, params: Json) -> Json:
        for user_id in params["users"]:
            self.hear(f"user:{user_id}")
        newer = [dict(self.users[known]) for known, rev in params["users"].items() if self.users[known]["rev"] > rev]
        return {"rev": self.scope(SELF).head, "full": True, "users": newer}


def _short(entity: Json) -> Json:
    return {"id": entity["id"], "name": entity["name"]}


def _place(entity: Json) -> Json:
    return {name: entity[name] for name in ("id", "name", "category_id", "position", "rev")}


def _listed(guild: Guild) -> Json:
    return {name: guild.entity[name] for name in ("id", "name", "image", "rev")}
