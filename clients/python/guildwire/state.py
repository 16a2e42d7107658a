"""Where the connection stands, for people to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum


class Phase(StrEnum):
    LOGGED_OUT = "logged out"
    CONNECTING = "connecting"
    RESUMING = "resuming"
    """Connected; what was missed is on its way."""
    ONLINE = "online"
    OFFLINE = "offline"
    """Between two tries."""


@dataclass(frozen=True, slots=True)
class State:
    """`since`: when this phase began; offline and connecting count as one. `retry_at`: when the next try is due."""

    phase: Phase = Phase.LOGGED_OUT
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    url: str = ""
    why: str = ""
    retry_at: datetime | None = None


_DOWN = {Phase.CONNECTING, Phase.OFFLINE}


class Status:
    """The present state; `on_change` hears of each new one."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.state = State()
        self._waiting: list[tuple[Callable[[State], bool], asyncio.Future[None]]] = []

    def enter(self, phase: Phase, *, url: str = "", why: str = "", retry_at: datetime | None = None) -> None:
        state = State(phase, url=url, why=why, retry_at=retry_at)
        if {phase, self.state.phase} <= _DOWN or phase is self.state.phase:
            state = replace(state, since=self.state.since, why=why or self.state.why)
        self.state = state
        self._on_change()
        for condition, future in tuple(self._waiting):
            if not future.done() and condition(state):
                future.set_result(None)

    async def until(self, condition: Callable[[State], bool]) -> None:
        """Waits, in the order of the calls, for a state in which it holds."""
        if condition(self.state):
            return
        entry = (condition, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await entry[1]
        finally:
            self._waiting.remove(entry)
