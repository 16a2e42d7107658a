"""The part of a client's model that lies in its `self`, beside servers: direct channels, and how far it has read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tests.client import Event
from tests.view import direct_entity

Entity = dict[str, Any]


@dataclass
class CacheOfSelf(ABC):
    """Mixed into `Cache`, which has the order of scopes and the messages."""

    user_id: str
    directs_listed: bool = False
    directs: dict[str, Entity] = field(default_factory=dict)
    complete_directs: set[str] = field(default_factory=set)
    reads: dict[str, int] = field(default_factory=dict)
    messages: dict[str, dict[int, Entity]] = field(default_factory=dict)

    @abstractmethod
    def _begin(self, scope: str, rev: int) -> None: ...

    @abstractmethod
    def _drop(self, scope: str) -> None: ...

    @abstractmethod
    def _not_older(self, scope: str, rev: int) -> bool: ...

    # Direct channels.

    def _direct_channel_added(self, event: Event) -> None:
        self._put_direct(event.params["channel"])
        self._begin(f"channel:{event.params['channel']['id']}", event.params["at"])

    def _direct_channel_deleted(self, event: Event) -> None:
        self._drop_direct(event.params["channel_id"])

    def _replied_get_direct_channels(self, result: Entity, _params: Entity) -> None:
        if self._not_older(f"self:{self.user_id}", result["rev"]):
            self.directs_listed = True
            for channel_id in set(self.directs) - {channel["id"] for channel in result["channels"]}:
                self._drop_direct(channel_id)
            for channel in result["channels"]:
                self._put_direct(channel)

    def _changed_get_direct_channels(self, result: Entity, _params: Entity) -> None:
        if self._not_older(f"self:{self.user_id}", result["rev"]):
            for channel_id in result["deleted"]:
                self._drop_direct(channel_id)
            for channel in result["updated"]:
                self._put_direct(channel)

    def _put_direct(self, channel: Entity) -> None:
        mine = self.directs.get(channel["id"])
        if mine is None or channel["rev"] >= mine["rev"]:
            self.directs[channel["id"]] = direct_entity(channel)

    def _drop_direct(self, channel_id: str) -> None:
        if self.directs.pop(channel_id, None) is not None:
            self._drop(f"channel:{channel_id}")
        self.complete_directs.discard(channel_id)
        self.messages.pop(channel_id, None)
        self.reads.pop(channel_id, None)

    # How far I have read.

    def _read_changed(self, event: Event) -> None:
        self._read(event.params["channel_id"], event.params["read_id"])

    def _read(self, channel_id: str, read_id: int) -> None:
        """Where sight began is not known from events: there it is asked for."""
        if channel_id in self.reads:
            self.reads[channel_id] = max(read_id, self.reads[channel_id])

    def _replied_get_read_states(self, result: Entity, params: Entity) -> None:
        if "server_id" not in params and self._not_older(f"self:{self.user_id}", result["rev"]):
            for state in result["read_states"]:
                known = self.reads.get(state["channel_id"], 0)
                self.reads[state["channel_id"]] = max(state["read_id"], known)

    def _replied_update_read_state(self, result: Entity, _params: Entity) -> None:
        self._read(result["channel_id"], result["read_id"])
