"""How long a process may take from SIGTERM to its end, as the code has it."""

from __future__ import annotations

from shared import bus
from shared.settings import Settings

# `shared.process` waits so long for the part's own tasks; the socket of MongoDB's driver for an answer.
_TASKS, _MONGO = 5.0, 10.0
# `services.gateway`: for sockets to close, then for aiohttp's own.
_SOCKETS, _HTTP = 3.0, 1.0


def longest_stop(part: str, settings: Settings) -> float:
    """In seconds, for a process with these settings."""
    if part == "gateway":
        # The last client leaves, and what it asked right before is answered.
        return settings.drain_seconds + settings.request_timeout + _SOCKETS + _HTTP + bus._DRAIN_PATIENCE + _TASKS
    # Subscriptions drain, requests end, the outbox is emptied, the connection is closed.
    return 3 * bus._DRAIN_PATIENCE + _MONGO + _TASKS
