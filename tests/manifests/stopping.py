"""How long a process may take from SIGTERM to its end, as the code has it."""

from __future__ import annotations

from shared import bus
from shared.settings import Settings

# `shared.process` waits so long for the part's own tasks; the socket of MongoDB's driver for an answer.
_TASKS, _MONGO = 5.0, 10.0
# `services.gateway`: for sockets to close, then for aiohttp's own.
_SOCKETS, _HTTP = 3.0, 1.0


def drain_window() -> float:
    """Over how long a gateway sends its clients away: the setting for it, once there is one."""
    return sum(float(field.default) for name, field in Settings.model_fields.items() if "drain" in name)


def longest_stop(part: str) -> float:
    if part == "gateway":
        return drain_window() + _SOCKETS + _HTTP + bus._DRAIN_PATIENCE + _TASKS
    # Subscriptions drain, requests end, the outbox is emptied, the connection is closed.
    return 3 * bus._DRAIN_PATIENCE + _MONGO + _TASKS
