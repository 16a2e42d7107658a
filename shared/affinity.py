"""Requests about one thing go to one replica, as long as there is one to go to.

Two processes that commit to the same scopes lose races to each other; each on its own scopes they do not, and their
caches stay warm. Any replica can serve any request, so a stale choice costs a retry and never correctness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

ANNOUNCE_EVERY = 1.0
_FORGOTTEN_AFTER = 3.5


def subject_at(subject: str, instance: str) -> str:
    """The subject of one replica, beside the one it shares with the others."""
    return f"{subject}.{instance}"


def announced_at(service: str) -> str:
    """The subject on which a replica says every so often that it lives, and at the end that it leaves, `-instance`.

    It says `instance connection`: over which of its connections to NATS, that nobody waits for what one before had.
    """
    return f"replicas.{service}"


def alive_at(service: str, instance: str) -> str:
    """The subject on which a replica says over which connection it hears, as long as it lives: also while it ends."""
    return subject_at(f"rpc.{service}.alive", instance)


def key_of(params: Mapping[str, Any]) -> str | None:
    """What a request is about: a channel before a server; None for neither."""
    for name in ("channel_id", "server_id"):
        if isinstance(value := params.get(name), str):
            return value
    return None


def pick(key: str, instances: Collection[str]) -> str | None:
    """The replica with the highest hash of key and name (rendezvous hashing: Thaler and Ravishankar, 1998).

    When one comes or goes, only the keys that are its own move.
    """
    return max(instances, key=lambda instance: _weight(key, instance), default=None)


def _weight(key: str, instance: str) -> bytes:
    return hashlib.blake2b(f"{key} {instance}".encode(), digest_size=8).digest()


class Replicas:
    """Who has lately announced itself. No I/O: times are the caller's, on one monotonic clock."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[str, float]] = {}
        self._connections: dict[str, str] = {}

    def hear(self, service: str, words: str, now: float) -> None:
        instance, _, connection = words.partition(" ")
        if instance.startswith("-"):
            self.lose(service, instance[1:])
        elif instance:
            self._heard.setdefault(service, {})[instance] = now
            self._connections[instance] = connection

    def connection_of(self, instance: str) -> str:
        """Over which it has last said that it hears."""
        return self._connections.get(instance, "")

    def lose(self, service: str, instance: str) -> None:
        self._heard.get(service, {}).pop(instance, None)
        self._connections.pop(instance, None)

    def living(self, service: str, now: float) -> list[str]:
        heard = self._heard.get(service, {})
        for instance in [each for each, at in heard.items() if now - at > _FORGOTTEN_AFTER]:
            self.lose(service, instance)
        return list(heard)
