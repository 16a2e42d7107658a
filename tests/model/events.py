"""The events of the simulated services: production's names, and of their params what the gateway acts on."""

from __future__ import annotations

from typing import Any

from shared.protocol.contract import Audience, Event


class MessageAdded(Event):
    """`token` is the request's own; `id` counts within the channel."""

    token: str
    id: int


class RoleChanged(Event):
    """Stands for whatever changes what people may see or do."""


class ChannelAdded(Event):
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
    scopes: dict[str, int]


class ServerDeleted(Event):
    server_id: str
    why: str
