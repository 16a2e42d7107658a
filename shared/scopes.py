"""Scopes: what a client can cache is in exactly one of them, and each has one dense revision.

On the wire a scope is its name, `server:66f…`. Inside, a channel's scope also knows its server, because that
is part of the NATS subject: a gateway hears all channels of a server with a single wildcard subscription.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

USER_BUCKETS = 4096
"""Users are too many for a subscription each: a gateway subscribes to the buckets its users fall into. Direct channels
likewise, for they have no server to share one under."""


class Scope(NamedTuple):
    """`name` as on the wire; `within` is the server's id for the scope of a server's channel, else empty."""

    name: str
    within: str = ""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    @property
    def id(self) -> str:
        return self.name.partition(":")[2]


def server_scope(server_id: str) -> Scope:
    return Scope(f"server:{server_id}")


def channel_scope(channel_id: str, server_id: str) -> Scope:
    return Scope(f"channel:{channel_id}", server_id)


def self_scope(user_id: str) -> Scope:
    return Scope(f"self:{user_id}")


def user_scope(user_id: str) -> Scope:
    return Scope(f"user:{user_id}")


def subject_of(scope: Scope) -> str:
    """The NATS subject on which the scope's entries are published."""
    match scope.kind:
        case "channel":
            return f"ev.channel.{scope.within or _direct(scope.id)}.{scope.id}"
        case "user":
            return f"ev.user.{_bucket(scope.id)}.{scope.id}"
        case kind:
            return f"ev.{kind}.{scope.id}"


def subjects_of(kind: str) -> str:
    """All subjects of the scopes of a kind, with NATS's wildcards."""
    return f"ev.{kind}.*.*" if kind in {"channel", "user"} else f"ev.{kind}.*"


def subscription_for(scope: Scope) -> str:
    """The subject a gateway subscribes to so as to hear this scope: wildcards where many scopes can share one."""
    match scope.kind:
        case "channel":
            return f"ev.channel.{scope.within or _direct(scope.id)}.*"
        case "user":
            return f"ev.user.{_bucket(scope.id)}.*"
        case _:
            return subject_of(scope)


def _direct(channel_id: str) -> str:
    """Stands for the server in the subject of a channel that belongs to none."""
    return f"d{_bucket(channel_id)}"


def _bucket(identity: str) -> int:
    return zlib.crc32(identity.encode()) % USER_BUCKETS
