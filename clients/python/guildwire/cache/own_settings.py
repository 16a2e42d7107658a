"""The settings that all devices of a user share: whatever the app keeps in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guildwire.cache.positions import Positions
from guildwire.changes import Change

SETTINGS = "settings"
"""A part of my own scope."""

Params = Mapping[str, Any]


class OwnSettings:
    """`value` is never changed in place: an app may be holding it."""

    def __init__(self, positions: Positions, tell: Callable[[Change], None]) -> None:
        self._positions = positions
        self._tell = tell
        self.value: Mapping[str, Any] = {}

    def read(self, scope: str, result: Params) -> None:
        found = [result] if result["full"] else result["updated"]
        for settings in found:
            self._set(settings["settings"])
        self._positions.load(scope, SETTINGS, result["rev"])

    def change(self, scope: str, rev: int, params: Params) -> None:
        if self._positions.takes(scope, SETTINGS, rev):
            self._set(params["settings"])

    def wrote(self, scope: str, settings: Params) -> None:
        """The answer to a request of mine, unless events have passed it already."""
        if self._positions.takes(scope, SETTINGS, settings["rev"]):
            self._set(settings["settings"])

    def clear(self) -> None:
        self.value = {}

    def _set(self, value: Mapping[str, Any]) -> None:
        if value != self.value:
            self.value = value
            self._tell(Change("settings", "changed"))
