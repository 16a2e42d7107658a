"""What of a client's cache still holds: each scope is current, stale or gone.

Current means that every event it missed can be told, in order; nothing else is promised. No past state of rights is
kept: whatever may have changed this user's sight since makes the server and all its channels stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.sight import Seen
from services.gateway.upstream import HEADS_PER_REQUEST, Upstream
from services.gateway.visibility import Visibility
from shared.journal.entry import Entry, happened
from shared.scopes import self_scope

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

    async def sort(self, connection: Connection, positions: Mapping[str, int], servers: Collection[str]) -> Sorted:
        """Sorts the scopes of a client who is in these servers; their views must have been loaded."""
        found = Sorted()
        channels = {f"channel:{each}": server for server in servers for each in self._channels(connection, server)}
        channels |= {f"channel:{each}": each for each in connection.directs}
        mine = {self_scope(connection.user_id).name, *(f"server:{server}" for server in servers), *channels}
        candidates = [name for name in positions if name in mine or name.startswith("user:")]
        heads = await self._heads({name: positions[name] for name in candidates})
        missed_entries = await self._all_missed({name: positions[name] for name in heads}, heads)
        # In this order: a channel is current only where the sight of its server, or of itself, is proven unchanged.
        for name in sorted(positions, key=_rank):
            position, head = positions[name], heads.get(name, 0)
            if name not in heads or (name.startswith("user:") and not head):
                found.gone.append(name)
                continue
            missed = head - position
            proven = 0 <= missed <= min(MISSED_PER_SCOPE, connection.replay_left)
            if proven and name in channels:
                proven = channels[name] in connection.proven
            entries = missed_entries.get(name, [])
            if proven and name.startswith("server:"):
                proven = len(entries) == missed and self._knows_its_sight(connection, name, head, entries, found)
            elif proven and (missed or name.startswith("self:")):
                proven = len(entries) == missed and _can_be_told(connection, name, entries)
            if not proven:
                found.stale.append(name)
                continue
            connection.replay_left -= missed
            found.current[name] = head
            found.positions[name] = position
        return found

    def _channels(self, connection: Connection, server_id: str) -> Collection[str]:
        """The channels the user sees; while that is not known yet, any that there are may be among them."""
        seen = self._visibility.seen_by(connection, server_id)
        return self._visibility.channels_of(server_id) if seen is None else seen.channels

    def _knows_its_sight(
        self, connection: Connection, name: str, head: int, missed: Sequence[Entry], found: Sorted
    ) -> bool:
        """Whether what the user may see of the server is as it was at the client's position; then notes it."""
        feed, server_id = self._interest.feed(name), name.partition(":")[2]
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

    async def _all_missed(self, positions: Mapping[str, int], heads: Mapping[str, int]) -> dict[str, list[Entry]]:
        """What was missed of each scope, where that is little enough to be told."""
        wanted = [name for name in positions if 0 < heads[name] - positions[name] <= MISSED_PER_SCOPE]
        room = asyncio.Semaphore(_READS_AT_ONCE)

        async def read(name: str) -> list[Entry]:
            async with room:
                return await self._missed(name, positions[name], heads[name])

        return dict(zip(wanted, await asyncio.gather(*map(read, wanted)), strict=True))

    async def _missed(self, name: str, position: int, head: int) -> list[Entry]:
        entries: list[Entry] = []
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


def _rank(name: str) -> int:
    order: Iterable[str] = ("self", "server", "channel", "user")
    kind = name.partition(":")[0]
    return list(order).index(kind) if kind in order else 9
