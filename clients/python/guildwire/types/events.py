"""What the server tells by itself.

Made by generate.py from the server's contracts: don't edit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from guildwire.types.entities import (
    Category,
    CategoryListing,
    Channel,
    DirectChannel,
    Friend,
    Member,
    Message,
    ReactionMade,
    Role,
    Server,
)


class ReconnectEvent(TypedDict):
    """This gateway goes away: in so many milliseconds it closes the connection with 1012. Each has its own time."""

    after_ms: int


class ResumedEvent(TypedDict):
    """What was missed has been told; from here on events are new."""


class ForgottenEvent(TypedDict):
    """The users of these scopes are told of no more: others came after them, and there is room for so many."""

    scopes: list[str]


class UserChangedEvent(TypedDict):
    """Only what changed; `was` is the user's revision before.

    A `status` is told to those whom it is shown to, and one's own choice to one's own devices.
    """

    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str
    changes: dict[str, Any]
    was: int


class FriendAddedEvent(TypedDict):
    """Someone asked me, or I did; or it comes before a `friend_changed` about somebody who was not in the list."""

    scope: str
    rev: int
    more: NotRequired[bool]
    friend: Friend


class FriendChangedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str
    state: Literal["friend", "incoming", "outgoing", "blocked", "blocked_by"]


class FriendDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str


class SettingsChangedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    settings: dict[str, Any]


class ServerAddedEvent(TypedDict):
    """In `self`: I joined or made it. `scopes` are the positions from which its events will follow."""

    scope: str
    rev: int
    more: NotRequired[bool]
    server: Server
    channels: list[CategoryListing]
    roles: list[Role]
    scopes: dict[str, int]


class ServerUpdatedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    server_id: str
    changes: dict[str, Any]
    was: int


class ServerDeletedEvent(TypedDict):
    """In `self`; it stands for all the server's channels too."""

    scope: str
    rev: int
    more: NotRequired[bool]
    server_id: str
    why: Literal["deleted", "left", "kicked", "banned"]


class CategoryAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    category: Category


class CategoryUpdatedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    category_id: str
    changes: dict[str, Any]
    was: int


class CategoryDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    category_id: str


class ChannelAddedEvent(TypedDict):
    """`at` is the revision of the channel's own scope from which its events will follow."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel: Channel
    at: int


class ChannelUpdatedEvent(TypedDict):
    """One that is moved to another category is judged by the `category_id` it had."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel_id: str
    changes: dict[str, Any]
    was: int


class ChannelDeletedEvent(TypedDict):
    """It is judged by the `category_id` and the `roles` (overwrites) that it had."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel_id: str


class RoleAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    role: Role


class RoleChangedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    role_id: str
    changes: dict[str, Any]
    was: int


class RoleDeletedEvent(TypedDict):
    """Whoever holds it, member or channel, has lost it with this."""

    scope: str
    rev: int
    more: NotRequired[bool]
    role_id: str


class MemberAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    member: Member


class MemberChangedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str
    changes: dict[str, Any]
    was: int


class MemberDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    user_id: str


class MessageAddedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    message: Message


class MessageChangedEvent(TypedDict):
    """`changes` holds only what changed; `was` is the message's revision before.

    For a reaction `changes` has all `reactions` as `{emoji, count}`, and `reaction` tells whose it was.
    """

    scope: str
    rev: int
    more: NotRequired[bool]
    message_id: int
    changes: dict[str, Any]
    was: int
    reaction: NotRequired[ReactionMade | None]


class MessageDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    message_id: int


class TypingStartedEvent(TypedDict):
    """Lasts 8 s, or until a message of theirs. It has neither `scope` nor `rev`, and may be missed."""

    channel_id: str
    user_id: str


class ReadChangedEvent(TypedDict):
    """Not sent for a message of your own, which moves `read_id` to itself."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel_id: str
    read_id: int
    mentions: int


class DirectChannelAddedEvent(TypedDict):
    """A channel is open to you, or its users changed. `at` is the revision from which the channel's events follow."""

    scope: str
    rev: int
    more: NotRequired[bool]
    channel: DirectChannel
    at: int


class DirectChannelDeletedEvent(TypedDict):
    scope: str
    rev: int
    more: NotRequired[bool]
    channel_id: str
