"""What every part of the simulation shares: time, chance, the trace, and who is alive.

Chance comes in streams, one per place it is asked from, so that what one part does never shifts another's luck, and
so that a run depends on nothing but its seed (not on the order in which a set of strings is walked).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from random import Random
from typing import TypeVar

from tests.model.loop import Loop, Process, over
from tests.model.profile import Profile

T = TypeVar("T")


class World:
    """`calm` ends all faults: from then on everything must heal."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self.seed = seed
        self.calm = False
        self._streams: dict[str, Random] = {}
        self._context = contextvars.copy_context()
        self._steps_left: dict[str, int] = {}
        self._killers: dict[str, Callable[[], None]] = {}
        self.loop = Loop(self.stream("code under test"))  # type: ignore[abstract]  # what it lacks is I/O

    @property
    def now(self) -> float:
        return self.loop.time()

    @property
    def busy(self) -> bool:
        """Whether there is still something to be done before the weather clears up."""
        return not self.calm and self.now < self.profile.busy

    def note(self, actor: str, what: str) -> None:
        self.loop.note(actor, what)

    def fail(self, message: str) -> None:
        if not self.loop.closing:
            self.loop.fail(message)

    # Chance.

    def stream(self, key: str) -> Random:
        if key not in self._streams:
            self._streams[key] = Random(f"{self.profile.name}/{self.seed}/{key}")
        return self._streams[key]

    def fault(self, key: str, kind: str) -> bool:
        """Whether a thing goes wrong, as often as the profile's field of that name says; never in calm weather."""
        chance: float = getattr(self.profile, kind)
        return not self.calm and chance > 0 and self.stream(f"{key}:{kind}").random() < chance

    def delay(self, key: str) -> float:
        """How long a request or an answer is on its way."""
        return self._delay(key, self.profile.slow, self.profile.slowest)

    def database_delay(self, key: str) -> float:
        return self._delay(key, self.profile.slow_database, self.profile.slowest)

    def hint_delay(self, key: str) -> float:
        return self._delay(key, self.profile.late, self.profile.latest)

    def _delay(self, key: str, chance: float, most: float) -> float:
        stream = self.stream(f"{key}:delay")
        if not self.calm and stream.random() < chance:
            return stream.uniform(0.0, most)
        return stream.uniform(0.0005, 0.003)

    # Time.

    def after(self, delay: float, work: Callable[[], object]) -> None:
        """Does it at that time, whoever is dead by then."""
        self.loop.call_later(delay, work, context=self._context)

    async def round_trip(self, key: str, work: Callable[[], T]) -> T:
        """Has `work` done elsewhere: a way there, a way back. It is done even if who asked dies meanwhile."""
        if self.loop.closing:
            over()
        answer: asyncio.Future[T] = self.loop.create_future()

        def arrive() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is for the one who asked
                self.after(self.database_delay(key), lambda failure=error: _settle(answer, failure))  # type: ignore[misc]
            else:
                self.after(self.database_delay(key), lambda: _settle(answer, None, result))

        self.after(self.database_delay(key), arrive)
        return await answer

    # Death.

    def kill_within(self, steps: int, name: str, kill: Callable[[], None]) -> None:
        """Has the process killed when it has taken so many more steps to the database or to the network."""
        self._steps_left[name] = steps
        self._killers[name] = kill

    async def step(self, name: str) -> None:
        """Where a process may be killed: between any two things that others can see."""
        if name not in self._steps_left:
            return
        self._steps_left[name] -= 1
        if self._steps_left[name] <= 0:
            del self._steps_left[name]
            self._killers.pop(name)()
            await self.loop.create_future()  # not one step further

    def kill(self, process: Process) -> None:
        self.note(process.name, "KILLED")
        process.dead = True
        self._steps_left.pop(process.name, None)


def _settle(answer: asyncio.Future[T], error: Exception | None, result: T | None = None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)  # type: ignore[arg-type]  # it is None only where T is
