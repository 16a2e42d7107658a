"""Keeps children running: one that dies is started again, sooner the first time than after many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploy.processes import Child, ProcessError

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
SETTLED_SECONDS = 30.0


@dataclass
class _Watch:
    """One child and its restarts. `due` is when to start it again, None while it runs; times are monotonic."""

    child: Child
    delay: float = FIRST_DELAY
    started: float = 0.0
    due: float | None = None
    announced: bool = True


class Supervisor:
    """Looks after children that are up. `say` is given one line for whatever happens to one of them."""

    def __init__(self, children: Iterable[Child], say: Callable[[str], None]) -> None:
        now = time.monotonic()
        self._watches = [_Watch(child, started=now) for child in children]
        self._say = say

    def check(self) -> None:
        """Look at each child once; to be called several times a second."""
        for watch in self._watches:
            if watch.due is None:
                self._look(watch)
            elif time.monotonic() >= watch.due:
                self._restart(watch)

    def _look(self, watch: _Watch) -> None:
        if not watch.child.running:
            self._schedule(watch, watch.child.ending)
        elif not watch.announced and watch.child.ready():
            watch.announced = True
            self._say(f"{watch.child.name} is back")

    def _restart(self, watch: _Watch) -> None:
        watch.due, watch.started, watch.announced = None, time.monotonic(), False
        try:
            watch.child.spawn()
        except (ProcessError, OSError) as error:
            self._schedule(watch, str(error))

    def _schedule(self, watch: _Watch, why: str) -> None:
        now = time.monotonic()
        if now - watch.started > SETTLED_SECONDS:
            watch.delay = FIRST_DELAY
        watch.due = now + watch.delay
        self._say(f"{watch.child.name} {why}; starting it again in {watch.delay:.1f} s")
        watch.delay = min(watch.delay * 2, LONGEST_DELAY)
