"""Group commit: appends that queue up while a transaction commits share the next one.

A commit to a majority costs the same for one entry as for a hundred, so the busier it is, the less each costs. What
cannot be committed together is tried in halves, until whatever is at fault stands alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import GuildwireError, LostRace, Unavailable
from shared.journal.change import Append
from shared.journal.entry import Origin
from shared.telemetry import GROUP_SIZE, logger

GROUP_LIMIT = 200


@dataclass(eq=False, slots=True)
class Waiting:
    """An append in the queue; `done` gets its outcome, or why there is none."""

    origin: Origin
    append: Append[Any]
    done: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def succeed(self, outcome: Any) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


Commit = Callable[[Sequence[Waiting]], Awaitable[None]]
"""Commits all of a group in one transaction and tells each its outcome, or raises and has committed none."""


class Lane:
    """One queue with one commit in flight. The order of appends to a scope is the order in which they came."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._queue: deque[Waiting] = deque()
        self._arrived = asyncio.Event()

    async def append(self, origin: Origin, append: Append[Any]) -> Any:
        waiting = Waiting(origin, append)
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.done

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))]
            if not self._queue:
                self._arrived.clear()
            try:
                await self._settle(group)
            finally:
                for waiting in group:
                    waiting.fail(Unavailable())

    async def _settle(self, group: Sequence[Waiting]) -> None:
        """Commits the group, or its halves when together it cannot be; every one of it gets an answer."""
        group = [waiting for waiting in group if not _given_up(waiting)]
        if not group:
            return
        GROUP_SIZE.observe(len(group))
        try:
            await self._commit(group)
        except Unavailable as error:
            # Nothing gets better by asking a dead database in halves; and the outcome may be unknown.
            for waiting in group:
                waiting.fail(error)
        except (LostRace, GuildwireError) as error:
            if len(group) == 1:
                group[0].fail(error)
                return
            middle = len(group) // 2
            await self._settle(group[:middle])
            await self._settle(group[middle:])
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not stop the lane
            if len(group) == 1:
                group[0].fail(error)
                return
            logger().error("group_failed", size=len(group), exc_info=error)
            for waiting in group:
                await self._settle([waiting])


def _given_up(waiting: Waiting) -> bool:
    if waiting.origin.expired:
        waiting.fail(Unavailable())
    return waiting.done.done()
