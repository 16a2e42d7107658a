"""What the server tells by itself.

Made by generate.py from the server's contracts: don't edit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from guildwire.types.entities import (
    CategoryListing,
    Channel,
    Member,
    Message,
    Role,
    Server,
)


class UserChangedEvent(TypedDict):
    """Only what changed; `was` is the user's revision before."""

    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str
    changes: dict[str, Any]
    was: int


class ServerAddedEvent(TypedDict):
    """In `self`: I joined or made it. `scopes` are the positions from which its events will follow."""

    scope: str
    rev: int
    more: NotRequired[bool]
    server: Server
    channels: list[CategoryListing]
    roles: list[Role]
    scopes: dict[str, int]


class ServerDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    server_id: str
    why: Literal["deleted", "left", "kicked", "banned"]


class MemberAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    member: Member


class MemberDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str


class ChannelAddedEvent(TypedDict):
    """`at` is the revision of the channel's own scope from which its events will follow."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel: Channel
    at: int


class MessageAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    message: Message


class MessageChangedEvent(TypedDict):
    """`changes` holds only what changed; `was` is the message's revision before."""

    scope: str
    rev: int
    more: NotRequired[bool]
    message_id: int
    changes: dict[str, Any]
    was: int


class MessageDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    message_id: int
