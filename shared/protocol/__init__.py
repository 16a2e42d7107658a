"""The contract, one module per entity. `METHODS` and `EVENTS` are all there is."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from shared.protocol import (
    account,
    ban,
    category,
    channel,
    connection,
    direct,
    friend,
    image,
    internal,
    invite,
    lease,
    member,
    message,
    reaction,
    read,
    role,
    server,
    settings,
    typing_sign,
)
from shared.protocol.contract import Event, Method

_MODULES: tuple[ModuleType, ...] = (
    connection,
    account,
    lease,
    friend,
    settings,
    server,
    category,
    channel,
    role,
    member,
    invite,
    ban,
    message,
    reaction,
    typing_sign,
    read,
    direct,
    image,
    internal,
)


def _methods() -> dict[str, Method[Any, Any]]:
    found: dict[str, Method[Any, Any]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, Method) and found.setdefault(value.name, value) is not value:
                raise RuntimeError(f"method {value.name} is declared twice")
    return found


def _events() -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Event) and value is not Event:
                found[value.name] = value
    return found


METHODS = _methods()
EVENTS = _events()

GATEWAY = "gateway"
JOURNAL = "journal"
"""Its methods are served by every service."""
SERVICES = tuple(sorted({method.service for method in METHODS.values()} - {GATEWAY, JOURNAL}))
