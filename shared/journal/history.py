"""Whether the database still has the history that was seen of it: one that was restored under its old epoch has not.

A look at the heads alone may have been answered by a primary that has just been replaced and does not know; so where
something seems to be gone, a majority is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from shared.epoch import Epoch
from shared.errors import LostRace, Unavailable
from shared.journal.reader import head_last_written, read_heads
from shared.store import Store
from shared.telemetry import logger

AT_ONCE = 20
_EVERY = 10.0

HELP = (
    "the database was restored to an earlier state under its old epoch; set a new one before anything starts on it:"
    ' db.meta.updateOne({_id: "epoch"}, {$set: {value: "<anything new>"}})'
)


class HistoryLost(Exception):
    """Revisions that were given out are no more: whoever went on would give them out again."""


def lost(revs: Mapping[str, int], heads: Mapping[str, int]) -> HistoryLost:
    """Of scopes that had come to `revs` and are back at `heads`; it has been said in the log."""
    first = min(revs)
    rev, now = revs[first], heads.get(first, 0)
    logger().error("history_lost", scope=first, rev=rev, now=now, scopes=len(revs), help=HELP)
    return HistoryLost(f"{first} had come to {rev} and is at {now}: {HELP}")


def gone_back(revs: Mapping[str, int], heads: Mapping[str, int]) -> dict[str, int]:
    """Those of the revisions that lie beyond their scopes' heads.

    Of a scope without any entry nothing is known: its documents may have been brought in by hand.
    """
    return {scope: rev for scope, rev in revs.items() if 0 < heads.get(scope, 0) < rev}


async def read_heads_surely(store: Store, epoch: Epoch, scopes: Sequence[str]) -> dict[str, int]:
    """The heads as a majority has them now, and after them the epoch, read anew."""
    heads = {scope: await head_last_written(store, scope) for scope in scopes}
    await epoch.read()
    return heads


class HistoryWatch:
    """Looks now and then at the scopes this process has written to; `known` gives some, with their revisions."""

    def __init__(self, store: Store, epoch: Epoch, known: Callable[[], dict[str, int]]) -> None:
        self._store = store
        self._epoch = epoch
        self._known = known
        self._before: dict[str, int] = {}
        self._epoch_before = ""

    async def run(self) -> None:
        """Raises HistoryLost."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self._look()
            except (Unavailable, LostRace) as error:
                logger().warning("history_not_watched", error=str(error))

    async def _look(self) -> None:
        """At what is known now, and at what was known the last time: since then it may have been written anew."""
        epoch = self._epoch.value
        before, known = self._before if self._epoch_before == epoch else {}, self._known()
        revs = {scope: max(before.get(scope, 0), known.get(scope, 0)) for scope in before | known}
        read = await read_heads(self._store, list(revs))
        missing = gone_back(revs, {scope: head.rev for scope, head in read.items()})
        if missing:
            heads = await read_heads_surely(self._store, self._epoch, sorted(missing)[:AT_ONCE])
            missing = gone_back({scope: missing[scope] for scope in heads}, heads)
            if missing and self._epoch.value == epoch:
                raise lost(missing, heads)
        self._before, self._epoch_before = known, epoch
