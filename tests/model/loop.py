"""An event loop in which time is a number: nothing waits, nothing is read or written, and every run is repeatable.

Callbacks run in the order asyncio promises (ready ones first in, first out; timers by time). What differs from run to
run is only how long the simulated database and network take, and that is drawn from the seed.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_RUNNING: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
_ROUNDS = 50

EPOCH = 1_700_000_000.0
"""When every run begins, as Unix time."""


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(eq=False, slots=True)
class Process:
    """Whatever runs in its context stops for ever, without any clean-up, once it is dead: as SIGKILL does it."""

    name: str
    context: Context = field(init=False)
    dead: bool = False
    paused: bool = False
    """As by SIGSTOP."""

    def __post_init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(_RUNNING.set, self)


class Loop(asyncio.AbstractEventLoop):
    """`random` is for the code under test; `closing` says that the run is over and all that is left is cancelled."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.serials = itertools.count(1)
        self.trace: list[tuple[float, str, str]] = []
        self.failure: str | None = None
        self.closing = False
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._withheld: list[asyncio.Handle] = []
        """What a process that is dead or paused would have done next."""
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._tasks: list[asyncio.Task[Any]] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # coroutines only: nothing here makes tasks of generators
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.closing:
            self.fail(f"{context['message']}: {context.get('exception')!r}")

    # Running.

    def note(self, actor: str, what: str) -> None:
        self.trace.append((self._now, actor, what))

    def fail(self, message: str) -> None:
        """Ends the run after the callback that is under way; the first failure counts."""
        if self.failure is None:
            self.note("!", message)
            self.failure = message

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Until `main` is done or something failed; raises Violation."""
        asyncio._set_running_loop(self)
        try:
            story = self.create_task(main)
            while not story.done() and self.failure is None:
                self._step()
            if self.failure is None:
                story.result()
                self._look_for_dead_tasks()
            if self.failure is not None:
                raise Violation(self.failure)
        finally:
            self._cancel_all()
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        if not self._ready:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            self._ready.append(timer)
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        process = handle._context.get(_RUNNING)  # type: ignore[attr-defined]
        if process is None or not (process.dead or process.paused):
            handle._run()
        else:
            self._withheld.append(handle)

    def go_on(self, process: Process) -> None:
        """What a paused process would have done meanwhile it does now, in that order."""
        process.paused = False
        mine = [handle for handle in self._withheld if handle._context.get(_RUNNING) is process]  # type: ignore[attr-defined]
        self._withheld = [handle for handle in self._withheld if handle not in mine]
        self._ready.extend(mine)

    def _look_for_dead_tasks(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and task._log_traceback:
                self.fail(f"nobody noticed how {task.get_coro()!r} ended: {task.exception()!r}")

    def _cancel_all(self) -> None:
        """Unwinds every coroutine, also those of the dead, so that none is left to be collected half-way."""
        self.closing = True
        self._ready.extend(self._withheld)
        for _ in range(_ROUNDS):
            alive = [task for task in self._tasks if not task.done()]
            if not alive:
                break
            for task in alive:
                task.cancel()
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()  # taken note of: nothing is to be logged when it is collected


def running() -> Loop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop


def over() -> NoReturn:
    """What any simulated I/O does once the run is over."""
    raise asyncio.CancelledError


def told(what: str, violation: Violation, loop: Loop) -> Violation:
    """The violation with the way to it."""
    lines = [f"{at:8.4f}  {actor:<12} {note}" for at, actor, note in loop.trace]
    return Violation("\n".join([f"{what}: {violation}", *lines]))
