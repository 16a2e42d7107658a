"""From a commit to its hints: publish, flush, clear the outbox; and say heads again while a hint may be missed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.bus import Bus
from shared.epoch import Epoch
from shared.errors import Unavailable
from shared.journal.entry import Entry, HeadNotice
from shared.scopes import Scope, subject_of
from shared.store import Store, translated
from shared.telemetry import PUBLISH_FAILURES, logger

_SETTLE_EVERY = 0.05
_SETTLE_BATCH = 500
_UNSETTLED_LIMIT = 10_000
_REPEATS = (1.0, 4.0)
_REPEAT_LIMIT = 200_000


@dataclass(frozen=True, slots=True)
class Hint:
    """An entry as it is published."""

    entry: Entry
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A scope since its last commit: when that was, at which revision, and how often it was said again."""

    since: float
    rev: int
    stage: int


class Repeats:
    """Heads to be said again 1 s and 4 s after a scope's last commit. No I/O; each commit costs O(1)."""

    def __init__(self) -> None:
        self._last: dict[Scope, _Quiet] = {}
        self._due: tuple[deque[tuple[float, Scope]], ...] = tuple(deque() for _ in _REPEATS)

    def committed(self, scope: Scope, rev: int, now: float) -> None:
        quiet = self._last.get(scope)
        if quiet is None and len(self._last) >= _REPEAT_LIMIT:
            return  # the gateways' digest is the remedy then
        if quiet is None or quiet.stage > 0:
            self._due[0].append((now, scope))
        # A sweep publishes entries that may be older than the last.
        newest = max(rev, quiet.rev) if quiet else rev
        self._last[scope] = _Quiet(now, newest, stage=0)

    def take(self, now: float) -> list[HeadNotice]:
        return [notice for stage in range(len(_REPEATS)) for notice in self._take(stage, now)]

    def _take(self, stage: int, now: float) -> Iterator[HeadNotice]:
        queue = self._due[stage]
        while queue and queue[0][0] + _REPEATS[stage] <= now:
            queued, scope = queue.popleft()
            quiet = self._last.get(scope)
            if quiet is None or quiet.stage != stage:
                continue  # a later commit has begun the count anew
            if quiet.since > queued:
                if stage == 0:
                    queue.append((quiet.since, scope))
                continue
            yield HeadNotice(scope, quiet.rev)
            if stage + 1 < len(_REPEATS):
                self._last[scope] = _Quiet(quiet.since, quiet.rev, stage + 1)
                self._due[stage + 1].append((quiet.since, scope))
            else:
                del self._last[scope]


class Publisher:
    """Publishes hints of committed entries. What it fails at stays in the outbox, and a sweeper repeats it."""

    def __init__(self, store: Store, bus: Bus, epoch: Epoch) -> None:
        self._store = store
        self._epoch = epoch
        self._bus = bus
        self._unsettled: deque[Any] = deque(maxlen=_UNSETTLED_LIMIT)
        self._repeats = Repeats()

    def hints(self, entries: Iterable[Entry]) -> list[Hint]:
        """Raises PayloadTooLarge for what NATS would not take: to be asked before anything is committed."""
        hints = [Hint(entry, entry.hint(self._epoch.value)) for entry in entries]
        for hint in hints:
            self._bus.guard(hint.payload)
        return hints

    async def publish(self, hints: Iterable[Hint]) -> bool:
        """Hands the hints to NATS without waiting for it; False when they were not all taken."""
        now = time.monotonic()
        try:
            for hint in hints:
                self._repeats.committed(hint.entry.scope, hint.entry.rev, now)
                await self._bus.publish(subject_of(hint.entry.scope), hint.payload)
        except Exception as error:  # noqa: BLE001 - it is committed: whatever fails now must not look as if it were not
            PUBLISH_FAILURES.inc()
            if not isinstance(error, Unavailable):
                logger().error("bug", exc_info=error)
            return False
        return True

    def settle(self, outbox_id: Any) -> None:
        """Has the outbox document deleted once NATS has confirmed what was handed over."""
        self._unsettled.append(outbox_id)

    async def clear(self, outbox_ids: list[Any]) -> None:
        with translated():
            await self._store["outbox"].delete_many({"_id": {"$in": outbox_ids}})

    async def run(self) -> None:
        """Settles and repeats until cancelled."""
        while True:
            await asyncio.sleep(_SETTLE_EVERY)
            try:
                await self._settle_batch()
                for notice in self._repeats.take(time.monotonic()):
                    await self._bus.publish(subject_of(notice.scope), notice.hint(self._epoch.value))
            except Unavailable:
                PUBLISH_FAILURES.inc()

    async def settle_all(self) -> None:
        while self._unsettled:
            await self._settle_batch()

    async def _settle_batch(self) -> None:
        batch = [self._unsettled.popleft() for _ in range(min(len(self._unsettled), _SETTLE_BATCH))]
        if not batch:
            return
        try:
            await self._bus.flush()
            await self.clear(batch)
        except Unavailable:
            # They stay in the outbox; the sweeper publishes them once more, which is harmless.
            logger().warning("outbox_left_to_sweeper", documents=len(batch))
            raise
