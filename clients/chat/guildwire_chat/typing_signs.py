"""Who is typing where: a sign lasts until its writer's message, or eight seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

LASTS = 8.0
SENT_EVERY = 5.0


class TypingSigns:
    """`clock` in seconds; it never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], float] = {}
        self._sent: tuple[str, float] | None = None

    def began(self, channel_id: str, user_id: str) -> None:
        self._until[channel_id, user_id] = self._clock() + LASTS

    def said(self, channel_id: str, user_id: str) -> None:
        """The message has come."""
        self._until.pop((channel_id, user_id), None)

    def in_channel(self, channel_id: str) -> list[str]:
        """The users who type there now."""
        now = self._clock()
        self._until = {who: until for who, until in self._until.items() if until > now}
        return [user_id for where, user_id in self._until if where == channel_id]

    def is_due(self, channel_id: str) -> bool:
        """Whether my own sign is to be sent, for I type; not again while the last one holds."""
        now = self._clock()
        if self._sent is not None and self._sent[0] == channel_id and now - self._sent[1] < SENT_EVERY:
            return False
        self._sent = (channel_id, now)
        return True

    def i_said(self) -> None:
        """My next sign begins anew."""
        self._sent = None


def sentence(names: Sequence[str]) -> str:
    match names:
        case []:
            return ""
        case [one]:
            return f"{one} is typing…"
        case [one, other]:
            return f"{one} and {other} are typing…"
    return f"{names[0]}, {names[1]} and {len(names) - 2} more are typing…"
