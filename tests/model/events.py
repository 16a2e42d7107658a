"""The events of the simulated services: production's names, and of their params what the gateway acts on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared.protocol.contract import Audience, Event

EVERYONE = "everyone"
SERVER = "s"


def channel(name: str) -> dict[str, Any]:
    """A channel that everybody sees, as guilds would show it."""
    place = {"category_id": None, "position": 0, "roles": [], "roles_with_access": [EVERYONE]}
    return {"id": name, "server_id": SERVER, "name": name, "description": None, "last_message_id": 0, "rev": 1, **place}


class MessageAdded(Event):
    """`token` is the request's own; `id` counts within the channel."""

    token: str
    id: int


class RoleChanged(Event):
    """Stands for whatever changes what people may see or do."""

    role_id: str = EVERYONE
    changes: dict[str, Any] = Field(default_factory=dict)


class ChannelAdded(Event):
    audience = Audience.VIEWERS
    channel: dict[str, Any]
    at: int


class MemberAdded(Event):
    audience = Audience.MEMBERS
    member: dict[str, Any]


class MemberDeleted(Event):
    audience = Audience.MEMBERS
    user_id: str


class ServerAdded(Event):
    server: dict[str, Any]
    channels: list[dict[str, Any]]
    scopes: dict[str, int]


class ServerDeleted(Event):
    server_id: str
    why: str
