"""What the server tells: entities and results. It may send more fields than these: ignore them.

Made by generate.py from the server's contracts: don't edit. Dates are RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class User(TypedDict):
    """A public profile. `status` is what the reader may see: `invisible` only in one's own."""

    id: str
    name: str
    display_name: str
    image: str | None
    status: Literal["online", "idle", "dnd", "invisible", "offline"]
    status_text: str | None
    rev: int


class LoggedIn(TypedDict):
    user: User
    token: str


class Authenticated(TypedDict):
    """Without `resume`, `current` names self and every server with its revision."""

    current: dict[str, int]
    stale: list[str]
    gone: list[str]
    user: User
    session_id: str
    epoch: str
    protocol: Literal[1]


class Resumed(TypedDict):
    """What was cached, sorted: `current` up to a revision, `stale` to be asked for, `gone` to be dropped."""

    current: dict[str, int]
    stale: list[str]
    gone: list[str]


class Empty(TypedDict):
    """Nothing more than that it was done."""


class Session(TypedDict):
    """A login. `current` is the one that asks."""

    id: str
    device: str | None
    created_date: str
    used_date: str
    current: bool


class SessionList(TypedDict):
    rev: int
    full: Literal[True]
    sessions: list[Session]


class FullUser(TypedDict):
    id: str
    name: str
    display_name: str
    image: str | None
    status: Literal["online", "idle", "dnd", "invisible", "offline"]
    status_text: str | None
    rev: int
    full: Literal[True]


class UserDelta(TypedDict):
    """The user, if it changed."""

    rev: int
    full: Literal[False]
    updated: list[User]
    deleted: list[str]


class UserList(TypedDict):
    rev: int
    full: Literal[True]
    users: list[User]


class Pong(TypedDict):
    time: int


class Friend(TypedDict):
    """How a user stands to me: `incoming` asked me, `outgoing` I asked, `blocked` by me, `blocked_by` them."""

    user: User
    state: Literal["friend", "incoming", "outgoing", "blocked", "blocked_by"]
    rev: int


class FriendList(TypedDict):
    """`next_anchor` is null unless the list is larger than one reply may be."""

    rev: int
    full: Literal[True]
    friends: list[Friend]
    next_anchor: str | None


class FriendsDelta(TypedDict):
    """Those that came or changed, and the users who are none any more."""

    rev: int
    full: Literal[False]
    updated: list[Friend]
    deleted: list[str]


class FullSettings(TypedDict):
    settings: dict[str, Any]
    rev: int
    full: Literal[True]


class Settings(TypedDict):
    """`settings` is what the client last gave, or `{}`."""

    settings: dict[str, Any]
    rev: int


class SettingsDelta(TypedDict):
    """The settings, if they changed."""

    rev: int
    full: Literal[False]
    updated: list[Settings]
    deleted: list[str]


class Me(TypedDict):
    """My own membership."""

    roles: list[str]
    nick: str | None
    rev: int


class Server(TypedDict):
    id: str
    name: str
    image: str | None
    description: str | None
    num_members: int
    created_date: str
    owner_id: str
    rev: int
    me: Me


class ServerListing(TypedDict):
    id: str
    name: str
    image: str | None
    rev: int


class Servers(TypedDict):
    rev: int
    full: Literal[True]
    servers: list[ServerListing]


class ServersDelta(TypedDict):
    """The servers I came into, and those I am no longer in."""

    rev: int
    full: Literal[False]
    updated: list[ServerListing]
    deleted: list[str]


class FullServerPreview(TypedDict):
    id: str
    name: str
    image: str | None
    description: str | None
    num_members: int
    created_date: str
    owner_id: str
    rev: int
    full: Literal[True]


class ServerDelta(TypedDict):
    """The server, if it or my membership changed."""

    rev: int
    full: Literal[False]
    updated: list[Server]
    deleted: list[str]


class Category(TypedDict):
    id: str
    name: str
    position: float
    rev: int


class ChannelListing(TypedDict):
    id: str
    name: str


class CategoryListing(TypedDict):
    """A category with its channels in order; those without one stand first, under `id: null`."""

    id: str | None
    name: str | None
    position: float | None
    channels: list[ChannelListing]


class ServerChannels(TypedDict):
    rev: int
    full: Literal[True]
    categories: list[CategoryListing]


class ChannelPlace(TypedDict):
    """A channel as a list of them shows it, with where it stands."""

    id: str
    name: str
    category_id: str | None
    position: float
    rev: int


class ServerChannelsDelta(TypedDict):
    """`updated` channels and `categories`; `deleted` holds ids of both kinds."""

    rev: int
    full: Literal[False]
    updated: list[ChannelPlace]
    deleted: list[str]
    categories: list[Category]


class Overwrite(TypedDict):
    role_id: str
    allow: list[str]
    deny: list[str]


class FullChannel(TypedDict):
    id: str
    server_id: str
    name: str
    description: str | None
    category_id: str | None
    position: float
    roles: list[Overwrite]
    roles_with_access: list[str]
    last_message_id: int
    rev: int
    full: Literal[True]


class Channel(TypedDict):
    id: str
    server_id: str
    name: str
    description: str | None
    category_id: str | None
    position: float
    roles: list[Overwrite]
    roles_with_access: list[str]
    last_message_id: int
    rev: int


class ChannelDelta(TypedDict):
    """The channel, if it changed."""

    rev: int
    full: Literal[False]
    updated: list[Channel]
    deleted: list[str]


class Role(TypedDict):
    id: str
    name: str
    color: str
    rules: list[str]
    position: float
    rev: int


class Roles(TypedDict):
    """In the order of position and id."""

    rev: int
    full: Literal[True]
    roles: list[Role]


class RolesDelta(TypedDict):
    """Roles that came or changed, and those that are gone."""

    rev: int
    full: Literal[False]
    updated: list[Role]
    deleted: list[str]


class Member(TypedDict):
    user: User
    roles: list[str]
    nick: str | None
    joined_date: str
    rev: int


class Members(TypedDict):
    """A page in the order of shown names. `total` is the server's, `next_anchor` null on the last page."""

    rev: int
    full: Literal[True]
    members: list[Member]
    next_anchor: str | None
    total: int


class MembersDelta(TypedDict):
    """Members that came or changed, and the users who are none any more."""

    rev: int
    full: Literal[False]
    updated: list[Member]
    deleted: list[str]


class Invite(TypedDict):
    code: str
    server_id: str
    user_id: str
    uses: int
    max_uses: int | None
    expires_date: str | None


class Invites(TypedDict):
    """Those that can still be used."""

    rev: int
    full: Literal[True]
    invites: list[Invite]


class Ban(TypedDict):
    """`by` is who banned."""

    user: User
    why: str | None
    by: str
    date: str


class Bans(TypedDict):
    """The newest first. `next_anchor` is null on the last page."""

    rev: int
    full: Literal[True]
    bans: list[Ban]
    next_anchor: str | None


class Reaction(TypedDict):
    emoji: str
    count: int
    me: bool


class Message(TypedDict):
    """`id` counts 1, 2, 3 … within the channel, in commit order, and is never used again."""

    id: int
    channel_id: str
    author_id: str
    content: str
    created_date: str
    edited_date: str | None
    reply_to: int | None
    reactions: list[Reaction]
    mentions: list[str]
    mentions_everyone: bool
    rev: int


class MessageChunk(TypedDict):
    """`users` are the authors and the mentioned; `replies` the targets of replies that are not in the page.

    `has_more` speaks of the direction asked for; around a message, when none was given, of either.
    """

    rev: int
    full: Literal[True]
    messages: list[Message]
    has_more: bool
    last_message_id: int
    users: list[User]
    replies: list[Message]


class MessagesDelta(TypedDict):
    """Of the whole channel, with the users that a page would have."""

    rev: int
    full: Literal[False]
    updated: list[Message]
    deleted: list[int]
    users: list[User]


class ReadState(TypedDict):
    """`mentions` counts the messages above `read_id` that name you, up to 1,000.

    `server_id` is null for a direct channel.
    """

    channel_id: str
    server_id: str | None
    read_id: int
    last_message_id: int
    mentions: int


class ReadStates(TypedDict):
    rev: int
    full: Literal[True]
    read_states: list[ReadState]


class DirectChannel(TypedDict):
    """`users` are all who are in it, you too; `rev` counts in your own `self`."""

    id: str
    users: list[User]
    last_message_id: int
    rev: int


class DirectChannels(TypedDict):
    rev: int
    full: Literal[True]
    channels: list[DirectChannel]


class DirectChannelsDelta(TypedDict):
    """Those that were opened, or whose users changed, and those that you left."""

    rev: int
    full: Literal[False]
    updated: list[DirectChannel]
    deleted: list[str]


class ReactionMade(TypedDict):
    """Who added a reaction (`on`), or took it back."""

    emoji: str
    user_id: str
    on: bool
