"""Whose collections are whose, as MongoDB is made to hold each service to it (`deploy/mongo/roles.py`).

Why so: docs/decisions/006.
"""

from __future__ import annotations

from typing import Final

OWN: Final[dict[str, frozenset[str]]] = {
    "guilds": frozenset(
        ["servers", "roles", "channels", "members", "categories", "invites", "bans", "images", "reading_starts"]
    ),
    "messages": frozenset(["messages", "reactions", "reads", "spent_messages", "directs"]),
    "presence": frozenset(["users", "friends", "sessions", "settings", "gateways"]),
}
"""Written by one service, which also makes it and its indexes."""

COMMON: Final = frozenset(["journal", "outbox", "nonces", "cascades", "leases", "meta"])
"""Written by all, through `shared`."""

NEVER_CHANGED: Final = frozenset(["journal", "outbox", "nonces"])
"""Of the common ones: what is in them is added and removed, but stays as it is."""

ALSO_UPDATED: Final[dict[str, frozenset[str]]] = {
    "guilds": frozenset(["users"]),
    "messages": frozenset(["users"]),
    "presence": frozenset(["members", "directs"]),
}
"""Another's, of which documents that are there are changed; none is added or removed."""

ALSO_READ: Final[dict[str, frozenset[str]]] = {
    "guilds": frozenset(["friends", "directs"]),
    "messages": frozenset(["servers", "roles", "channels", "members", "reading_starts", "friends"]),
    "presence": frozenset(["images", "servers"]),
}
"""Another's, of which nothing is changed."""

EVERY: Final = COMMON.union(*OWN.values())


def made_by(service: str) -> frozenset[str]:
    """The collections that a service makes when it starts."""
    return OWN[service] | COMMON
