"""What the chat keeps on disk, for each profile: who one is, what was cached, what was read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from guildwire import Cache


def default_home() -> Path:
    """As the XDG Base Directory Specification has it for data that can be made again."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "guildwire-chat"


class Store:
    """The folder and its files are the user's alone: they hold a token and what was said in private."""

    def __init__(self, home: Path, profile: str) -> None:
        self._folder = home / profile.replace("/", "_")
        state = self._read()
        self.token: str = state.get("token", "")
        self.name: str = state.get("name", "")
        self.channel_id: str = state.get("channel_id", "")

    def load_cache(self) -> Cache:
        return Cache.load(self._folder / "cache.json")

    def save_cache(self, cache: Cache) -> None:
        self._make()
        cache.save(self._folder / "cache.json")

    def save(self) -> None:
        self._make()
        state = {"token": self.token, "name": self.name, "channel_id": self.channel_id}
        new = self._folder / "state.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(state), encoding="utf-8")
        new.replace(self._folder / "state.json")

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            state = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}
