"""What of a client's cache still holds: each scope is current, stale or gone.

Current means that every event it missed can be told, in order; nothing else is promised. No past state of rights is
kept: whatever may have changed this user's sight since makes the server and all its channels stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from services.gateway.connection import Connection
from services.gateway.interest import Interest
from services.gateway.upstream import HEADS_PER_REQUEST, Upstream
from services.gateway.visibility import Visibility
from shared.journal.entry import Entry, happened
from shared.scopes import self_scope
from shared.sight import sight_changed

MISSED_PER_SCOPE = 200
_READS_AT_ONCE = 16


@dataclass(slots=True)
class Sorted:
    """`positions` are those of the current scopes, from which their events are to be told."""

    current: dict[str, int] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)


class Resumption:
    def __init__(self, upstream: Upstream, interest: Interest, visibility: Visibility) -> None:
        self._upstream = upstream
        self._interest = interest
        self._visibility = visibility

    async def sort(self, connection: Connection, positions: Mapping[str, int], servers: Collection[str]) -> Sorted:
        """Sorts the scopes of a client who is in these servers; their views must have been loaded."""
        found = Sorted()
        channels = {f"channel:{each}": server for server in servers for each in self._visibility.channels_of(server)}
        mine = {self_scope(connection.user_id).name, *(f"server:{server}" for server in servers), *channels}
        candidates = [name for name in positions if name in mine or name.startswith("user:")]
        heads = await self._heads({name: positions[name] for name in candidates})
        missed_entries = await self._all_missed({name: positions[name] for name in heads}, heads)
        # Servers first: a channel is current only where the sight of its server is proven unchanged.
        for name in sorted(positions, key=_rank):
            position, head = positions[name], heads.get(name, 0)
            if name not in heads or (name.startswith("user:") and not head):
                found.gone.append(name)
                continue
            missed = head - position
            proven = 0 <= missed <= min(MISSED_PER_SCOPE, connection.replay_left)
            if proven and name in channels:
                proven = channels[name] in connection.proven
            if proven and (missed or name.startswith("server:")):
                proven = _can_be_told(connection, name, missed_entries.get(name, []), missed)
            if not proven:
                found.stale.append(name)
                continue
            connection.replay_left -= missed
            found.current[name] = head
            found.positions[name] = position
        return found

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


def _can_be_told(connection: Connection, name: str, entries: list[Entry], missed: int) -> bool:
    """Whether everything missed is still there and leaves this user's sight as it was."""
    if len(entries) < missed:
        return False
    if name.startswith("server:"):
        if sight_changed(entries, connection.user_id):
            return False
        connection.proven.add(name.partition(":")[2])
    # A server joined meanwhile is better asked for than told from its beginning.
    return not (name.startswith("self:") and happened(entries, "server_added"))


def _rank(name: str) -> int:
    order: Iterable[str] = ("self", "server", "channel", "user")
    kind = name.partition(":")[0]
    return list(order).index(kind) if kind in order else 9
