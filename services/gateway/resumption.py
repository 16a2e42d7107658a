"""What of a client's cache still holds: each scope is current, stale or gone.

Current means that every event it missed can be told, in order; nothing else is promised. No past state of rights is
kept: whatever may have changed this user's sight since makes the server and all its channels stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.sight import Seen
from services.gateway.upstream import HEADS_PER_REQUEST, Upstream
from services.gateway.visibility import Visibility
from shared.journal.entry import Entry, happened

MISSED_PER_SCOPE = 200
_READS_AT_ONCE = 16


@dataclass(slots=True)
class Sorted:
    """`positions` are those of the current scopes, from which their events are to be told."""

    current: dict[str, int] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    """What the client saw of each current server where it stands."""


class Resumption:
    def __init__(self, upstream: Upstream, interest: Interest, visibility: Visibility) -> None:
        self._upstream = upstream
        self._interest = interest
        self._visibility = visibility

    async def sort(self, connection: Connection, positions: Mapping[str, int], read: Mapping[str, int]) -> Sorted:
        """Sorts the scopes of a client; `read` are its user's self, servers and direct channels, each as of when."""
        known = {f"channel:{each}" for server in _servers_of(read) for each in self._visibility.channels_of(server)}
        judged = {name: at for name, at in positions.items() if name in known or _is_user(name)}
        judged |= {name: at for name, at in positions.items() if name in read and at <= self._known(name, read[name])}
        heads = await self._heads(judged)
        # A feed that is behind what was read would hide how the user has come into a server.
        heads |= {name: max(heads[name], read[name]) for name in heads if name.startswith("self:")}
        missed = await self._all_missed({name: positions[name] for name in heads}, heads, connection.replay_left)
        # From here on nothing is awaited: what is seen is what will be told.
        return self._judged(connection, positions, read, heads, missed)

    def _known(self, name: str, read: int) -> int:
        """How far a client may claim to have come in what was read of its user; of a server, the feed as well.

        Beyond that lies what nobody here has heard of, perhaps that the user is out, or sees less: it can't be judged
        whether anything was missed, and who were believed would never be told.
        """
        return min(read, self._visibility.last_of(_id(name))) if name.startswith("server:") else read

    def _judged(
        self,
        connection: Connection,
        positions: Mapping[str, int],
        read: Mapping[str, int],
        heads: Mapping[str, int],
        missed_entries: Mapping[str, list[Entry]],
    ) -> Sorted:
        found = Sorted()
        channels = self._channels(connection, _servers_of(read))
        unsure = self._is_behind(positions, read)
        # In this order: a channel is current only where the sight of its server, or of itself, is proven unchanged.
        for name in sorted(positions, key=_rank):
            position, head = positions[name], heads.get(name, 0)
            if not (head if _is_user(name) else name in read or name in channels):
                (found.stale if unsure and name.startswith(("server:", "channel:")) else found.gone).append(name)
                continue
            missed, entries = head - position, missed_entries.get(name, [])
            proven = name in heads and 0 <= missed <= min(MISSED_PER_SCOPE, connection.replay_left)
            if proven and name in channels:
                proven = channels[name] in connection.proven
            if proven and name.startswith("server:"):
                proven = len(entries) == missed and self._knows_its_sight(connection, name, head, entries, found)
            elif proven and (missed or name.startswith("self:")):
                proven = len(entries) == missed and _can_be_told(connection, name, entries)
            if not proven:
                found.stale.append(name)
                continue
            connection.replay_left -= missed
            feed = self._interest.feed(name)
            # What its feed has not come to yet is no replay: it is told when it comes.
            found.current[name] = min(head, max(position, feed.last)) if feed else head
            found.positions[name] = position
        return found

    def _is_behind(self, positions: Mapping[str, int], read: Mapping[str, int]) -> bool:
        """Whether the user may be in servers, or see channels, that are not known of here yet."""
        claims_more = any(positions.get(name, 0) > rev for name, rev in read.items())
        return claims_more or any(self._visibility.lags(each, read[f"server:{each}"]) for each in _servers_of(read))

    def _channels(self, connection: Connection, servers: Iterable[str]) -> dict[str, str]:
        """The scopes of all channels that the user sees, each with what its being current depends on.

        While it is not known yet what is seen of a server, any channel that it has may be.
        """
        channels = {f"channel:{each}": each for each in connection.directs}
        for server in servers:
            seen = self._visibility.seen_by(connection, server)
            visible = self._visibility.channels_of(server) if seen is None else seen.channels
            channels |= {f"channel:{each}": server for each in visible}
        return channels

    def _knows_its_sight(
        self, connection: Connection, name: str, head: int, missed: Sequence[Entry], found: Sorted
    ) -> bool:
        """Whether what the user may see of the server is as it was at the client's position; then notes it."""
        feed, server_id = self._interest.feed(name), _id(name)
        # Meanwhile the server may have gone on.
        later = feed.entries_after(head) if feed else None
        if later is None:
            return False
        seen = self._visibility.knew(connection, server_id, [*missed, *later])
        if seen is None:
            return False
        found.seen[server_id] = seen
        connection.proven.add(server_id)
        return True

    async def _all_missed(
        self, positions: Mapping[str, int], heads: Mapping[str, int], left: int
    ) -> dict[str, list[Entry]]:
        """What was missed of each scope, where that is little enough to be told; of all of them at most `left`."""
        wanted: list[str] = []
        for name in sorted(positions, key=_rank):
            missed = heads[name] - positions[name]
            if 0 < missed <= min(MISSED_PER_SCOPE, left):
                wanted.append(name)
                left -= missed
        room = asyncio.Semaphore(_READS_AT_ONCE)

        async def read(name: str) -> list[Entry]:
            async with room:
                return await self._missed(name, positions[name], heads[name])

        return dict(zip(wanted, await asyncio.gather(*map(read, wanted)), strict=True))

    async def _missed(self, name: str, position: int, head: int) -> list[Entry]:
        entries: list[Entry] = []
        feed = self._interest.feed(name)
        if feed is not None and (kept := feed.entries_after(position)) and kept[-1].rev >= head:
            return [entry for entry in kept if entry.rev <= head]
        while position < head:
            page = await self._upstream.entries(name, position)
            if not page or page[0].rev != position + 1:
                break
            entries.extend(entry for entry in page if entry.rev <= head)
            position = page[-1].rev
        return entries

    async def _heads(self, positions: Mapping[str, int]) -> dict[str, int]:
        """The head of each scope: a feed knows it, unless the client claims to know more."""
        heads: dict[str, int] = {}
        asked: list[str] = []
        for name, position in positions.items():
            feed = self._interest.feed(name)
            if feed is not None and position <= feed.last:
                heads[name] = feed.last
            else:
                asked.append(name)
        batches = [asked[start : start + HEADS_PER_REQUEST] for start in range(0, len(asked), HEADS_PER_REQUEST)]
        for answer in await asyncio.gather(*(self._upstream.heads(batch) for batch in batches)):
            heads.update(answer)
        return heads


def _can_be_told(connection: Connection, name: str, entries: list[Entry]) -> bool:
    """What was joined or opened meanwhile is better asked for than told from its beginning."""
    if not name.startswith("self:"):
        return True
    closed = happened(entries, "direct_channel_deleted")
    connection.proven.update(connection.directs - {params["channel_id"] for params in closed})
    return not happened(entries, "server_added", "direct_channel_added")


def _id(name: str) -> str:
    return name.partition(":")[2]


def _servers_of(names: Iterable[str]) -> list[str]:
    return [_id(name) for name in names if name.startswith("server:")]


def _is_user(name: str) -> bool:
    return name.startswith("user:")


def _rank(name: str) -> int:
    order: Iterable[str] = ("self", "server", "channel", "user")
    kind = name.partition(":")[0]
    return list(order).index(kind) if kind in order else 9
