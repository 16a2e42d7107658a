"""One scope's entries, put back in order, and how far each holder has been told. No I/O.

Hints come late, twice, swapped or not at all; a feed lets them out as 1, 2, 3 …. A holder has a cursor: *live* stands
where the feed does, *behind* is still being told what it missed, *ahead* knows more than the feed does, from a reply.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from shared.journal.entry import Entry
from shared.scopes import Scope

H = TypeVar("H")


class Feed(Generic[H]):
    """`last` is the revision everything live has been told; `known` the highest that is known to exist.

    `last_id` is a channel's last message id as of `last`.
    """

    __slots__ = (
        "_early",
        "_reorder_limit",
        "_ring",
        "ahead",
        "behind",
        "idle_since",
        "known",
        "last",
        "last_id",
        "live",
        "scope",
    )

    def __init__(self, scope: Scope, last: int, *, ring_size: int, reorder_limit: int, last_id: int = 0) -> None:
        self.scope = scope
        self.last = last
        self.last_id = last_id
        self.known = last
        self.live: set[H] = set()
        self.ahead: dict[H, int] = {}
        self.behind: dict[H, int] = {}
        self.idle_since: float | None = None
        self._early: dict[int, Entry] = {}
        self._ring: deque[Entry] = deque(maxlen=ring_size)
        self._reorder_limit = reorder_limit

    # What comes in.

    def offer(self, entry: Entry) -> None:
        """Takes an entry from a hint or from the journal, whatever its place."""
        if entry.rev <= self.last:
            return
        self.announce(entry.rev)
        if entry.rev == self.last + 1 or len(self._early) < self._reorder_limit:
            self._early[entry.rev] = entry

    def announce(self, rev: int) -> None:
        """Says that `rev` exists."""
        self.known = max(self.known, rev)

    @property
    def has_gap(self) -> bool:
        """The next entry exists but is not here."""
        return self.known > self.last and self.last + 1 not in self._early

    # What goes out.

    def waiting(self) -> Entry | None:
        """The next entry in order, if it is here."""
        return self._early.get(self.last + 1)

    def release(self) -> tuple[Entry, tuple[H, ...]]:
        """Lets the waiting entry out: it, and the holders that are to be told."""
        entry = self._early.pop(self.last + 1)
        told = tuple(self.live)
        self.last = entry.rev
        self.last_id = max(self.last_id, entry.last_id)
        self._ring.append(entry)
        for holder in [holder for holder, position in self.ahead.items() if position <= entry.rev]:
            del self.ahead[holder]
            self.live.add(holder)
        return entry, told

    # Who holds it.

    def join(self, holder: H, position: int) -> None:
        """The holder knows the scope as of `position`; who is here already keeps its place."""
        if holder in self:
            return
        self.idle_since = None
        if position < self.last:
            self.behind[holder] = position
        elif position > self.last:
            self.ahead[holder] = position
            self.announce(position)
        else:
            self.live.add(holder)

    def leave(self, holder: H) -> None:
        self.live.discard(holder)
        self.ahead.pop(holder, None)
        self.behind.pop(holder, None)

    def missed_by(self, holder: H) -> list[Entry] | None:
        """What a holder that is behind has missed, if the last entries kept here reach back so far."""
        return self.entries_after(self.behind[holder])

    def entries_after(self, rev: int) -> list[Entry] | None:
        """All from `rev` to the last, if the last entries kept here reach back so far."""
        if rev >= self.last:
            return []
        if self._ring and self._ring[0].rev <= rev + 1:
            return [entry for entry in self._ring if entry.rev > rev]
        return None

    def told(self, holder: H, rev: int) -> bool:
        """Moves a holder that is behind on to `rev`; False when that was not its next, and nothing moved."""
        if self.behind.get(holder) != rev - 1:
            return False
        if rev == self.last:
            del self.behind[holder]
            self.live.add(holder)
        else:
            self.behind[holder] = rev
        return True

    def place_of(self, holder: H) -> int | None:
        """The last revision this holder has been told of, by an event or by a reply; None for who is not here."""
        if holder in self.live:
            return self.last
        return self.behind.get(holder, self.ahead.get(holder))

    def __contains__(self, holder: H) -> bool:
        return holder in self.live or holder in self.ahead or holder in self.behind

    def holders(self) -> set[H]:
        return self.live | self.ahead.keys() | self.behind.keys()

    @property
    def held(self) -> bool:
        return bool(self.live or self.ahead or self.behind)
