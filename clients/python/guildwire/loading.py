"""Fills the cache with what an app is about to show; what is there and current is not asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from guildwire.cache.cache import PAGE, USERS_PER_REQUEST, Cache
from guildwire.cache.directs import DIRECTS
from guildwire.cache.entities import Entity
from guildwire.cache.friends import FRIENDS
from guildwire.cache.guilds import SERVERS
from guildwire.cache.messages import MESSAGES
from guildwire.cache.own_settings import SETTINGS
from guildwire.cache.positions import Trust
from guildwire.cache.reads import READS
from guildwire.cache.servers import CHANNELS, MEMBERS, ROLES, SERVER, CachedServer, channel_scope, server_scope
from guildwire.errors import GuildwireError, MethodNotFound
from guildwire.methods import Methods

LARGEST_PAGE = 100
TRIES = 5


class Unsettled(GuildwireError):
    """What was to be loaded kept changing away; try again later."""


class Loading(Methods):
    """Each of these returns when the cache has it; from then on events keep it up to date."""

    cache: Cache

    async def load_servers(self) -> Mapping[str, CachedServer]:
        """Which servers I am in."""
        await self._load(self.cache.self_scope, SERVERS, "get_servers", {})
        return self.cache.servers

    async def load_server(self, server_id: str) -> CachedServer:
        """The server itself, its channels and its roles. Raises NotFound if it is none of mine."""
        scope, params = server_scope(server_id), {"server_id": server_id}
        await self._must_be_listed(server_id)
        if "owner_id" not in self.cache.servers[server_id].entity:
            await self.call("get_server", params)
        await self._load(scope, SERVER, "get_server", params)
        await self._load(scope, CHANNELS, "get_server_channels", params)
        try:
            await self._load(scope, ROLES, "get_server_roles", params)
        except MethodNotFound:
            self.cache.guilds.unload(server_id, ROLES)
        return self.cache.servers[server_id]

    async def _must_be_listed(self, server_id: str) -> None:
        """A server that was joined just now may be listed only when asked again."""
        servers = await self.load_servers()
        if server_id not in servers:
            part = self.cache.positions.part(self.cache.self_scope, SERVERS)
            await self.call("get_servers", {"since": part.rev} if part else {})
        if server_id not in servers:
            await self.call("get_server", {"server_id": server_id})
            raise Unsettled("Not a member any more, or not yet.")

    async def load_messages(self, channel_id: str, amount: int = PAGE) -> list[Entity]:
        """The newest messages, of a channel whose server is loaded, or of a direct one when those are."""
        page = {"channel_id": channel_id, "amount": min(amount, LARGEST_PAGE), "anchor": 0, "direction": False}
        await self._load(channel_scope(channel_id), MESSAGES, "get_message_chunk", page)
        if not self.cache.pages(channel_id).live_end:
            await self.call("get_message_chunk", page)
        held = self.cache.pages(channel_id).newest(amount)
        while len(held) < amount and not self.cache.pages(channel_id).complete:
            last = self.cache.pages(channel_id).ranges.last
            if last is None:
                break
            await self.load_older(channel_id, last[0], amount - len(held))
            held = self.cache.pages(channel_id).newest(amount)
        return held

    async def load_older(self, channel_id: str, before: int, amount: int = PAGE) -> list[Entity]:
        """The messages right below an id, fewer only where the channel begins."""
        for _ in range(TRIES):
            pages = self.cache.pages(channel_id)
            held = pages.before(before, amount)
            lowest = held[0]["id"] if held else before
            if len(held) >= amount or pages.has_before(lowest) is False:
                return held
            edge = pages.ranges.around(lowest - 1)
            page = {"anchor": edge[0] if edge else lowest, "direction": False, "amount": min(amount, LARGEST_PAGE)}
            await self.call("get_message_chunk", {"channel_id": channel_id, **page})
        return self.cache.pages(channel_id).before(before, amount)

    async def load_direct_channels(self) -> Mapping[str, Entity]:
        """Which direct channels I have open; their messages can be loaded from then on."""
        await self._load(self.cache.self_scope, DIRECTS, "get_direct_channels", {})
        return self.cache.direct_channels

    async def load_read_states(self) -> None:
        """How far I have read, in all channels."""
        known = self.cache.positions.part(self.cache.self_scope, READS)
        if known is None or known.trust is not Trust.LIVE:
            await self.call("get_read_states", {})

    async def load_members(self, server_id: str) -> CachedServer:
        """All members of a server; from then on their coming and going is heard."""
        server = self.cache.servers[server_id]
        scope, params = server_scope(server_id), {"server_id": server_id, "amount": LARGEST_PAGE}
        for _ in range(TRIES):
            if server.all_members:
                await self._load(scope, MEMBERS, "get_server_members", params)
            if server.all_members:
                return server
            page = first = await self.call("get_server_members", params)
            while page["next_anchor"] is not None:
                page = await self.call("get_server_members", {**params, "anchor": page["next_anchor"]})
            # Who was renamed from one page to the other meanwhile is in neither: ask what changed since the first.
            changed = await self.call("get_server_members", {**params, "since": first["rev"]})
            server.all_members = not changed["full"] or changed["next_anchor"] is None
        raise Unsettled("The members kept changing.")

    async def load_friends(self) -> Mapping[str, Entity]:
        """Friends, requests and blocks, by the other's id; the users are among the cache's users."""
        await self._load(self.cache.self_scope, FRIENDS, "get_friends", {})
        for _ in range(TRIES):
            if self.cache.friends.complete:
                return self.cache.friends.all
            page = await self.call("get_friends", {})
            while page["next_anchor"] is not None:
                page = await self.call("get_friends", {"anchor": page["next_anchor"]})
        raise Unsettled("The list of friends kept changing.")

    async def load_settings(self) -> Mapping[str, Any]:
        """The settings that all my devices share."""
        await self._load(self.cache.self_scope, SETTINGS, "get_settings", {})
        return self.cache.settings.value

    async def load_users(self, user_ids: Iterable[str]) -> None:
        """Those of these users that the cache does not have."""
        wanted = [user_id for user_id in user_ids if self.cache.user(user_id) is None]
        for start in range(0, len(wanted), USERS_PER_REQUEST):
            await self.call("get_users", {"users": dict.fromkeys(wanted[start : start + USERS_PER_REQUEST], 0)})

    async def _load(self, scope: str, part: str, method: str, params: Mapping[str, Any]) -> None:
        """Asks for a part that is not loaded, and for what changed in one that is not current."""
        for _ in range(TRIES):
            known = self.cache.positions.part(scope, part)
            if known is not None and known.trust is Trust.LIVE:
                return
            since = {} if known is None else {"since": known.rev}
            await self.call(method, {**params, **since})
        raise Unsettled(f"{method} did not settle.")
