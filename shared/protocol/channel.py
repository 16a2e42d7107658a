"""Channels of a server. Served by guilds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.protocol.category import Category
from shared.protocol.contract import Audience, Changes, Delta, Empty, Entity, Event, Method, Params, unsent
from shared.protocol.fields import Description, Id, Nonce, Position, Rev, Rules, Title


class ChannelListing(Entity):
    id: str
    name: str


class CategoryListing(Entity):
    """A category with its channels in order; those without one stand first, under `id: null`."""

    id: str | None
    name: str | None
    position: float | None
    channels: list[ChannelListing]


class ServerChannels(Entity):
    rev: int
    full: Literal[True] = True
    categories: list[CategoryListing]


class ChannelPlace(Entity):
    """A channel as a list of them shows it, with where it stands."""

    id: str
    name: str
    category_id: str | None
    position: float
    rev: int


class ServerChannelsDelta(Delta[ChannelPlace, str]):
    """`updated` channels and `categories`; `deleted` holds ids of both kinds."""

    categories: list[Category]


class Overwrite(Entity):
    role_id: str
    allow: list[str]
    deny: list[str]


class Channel(Entity):
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


class GetServerChannels(Params):
    server_id: Id
    user_id: Id | None = None
    since: Rev | None = None


class GetServerChannel(Params):
    channel_id: Id
    since: Rev | None = None


class OverwriteParams(Params):
    """What the channel allows and denies to one role."""

    role_id: Id
    allow: Rules = Field(default_factory=list)
    deny: Rules = Field(default_factory=list)


Overwrites = Annotated[list[OverwriteParams], Field(max_length=100)]


class AddChannel(Params):
    server_id: Id
    name: Title
    category_id: Id | None = None
    description: Description | None = None
    position: Position | None = None
    roles: Overwrites | None = None
    nonce: Nonce | None = None


class ChannelChanges(Changes):
    """`roles` replaces all overwrites."""

    name: Title = unsent()
    description: Description | None = None
    category_id: Id | None = None
    position: Position = unsent()
    roles: Overwrites = unsent()


class UpdateChannel(Params):
    channel_id: Id
    changes: ChannelChanges
    if_rev: Rev | None = None


class DeleteChannel(Params):
    channel_id: Id


class FullChannel(Channel):
    full: Literal[True] = True


class ChannelDelta(Delta[Channel, str]):
    """The channel, if it changed."""


class ChannelAdded(Event):
    """`at` is the revision of the channel's own scope from which its events will follow."""

    audience = Audience.VIEWERS
    channel: Channel
    at: int


class ChannelUpdated(Event):
    """One that is moved to another category is judged by the `category_id` it had."""

    audience = Audience.VIEWERS
    channel_id: str
    changes: dict[str, Any]
    was: int


class ChannelDeleted(Event):
    """It is judged by the `category_id` and the `roles` (overwrites) that it had."""

    audience = Audience.VIEWERS
    channel_id: str


GET_SERVER_CHANNELS: Method[GetServerChannels, ServerChannels | ServerChannelsDelta] = Method(
    "get_server_channels",
    "guilds",
    GetServerChannels,
    ServerChannels,
    delta=ServerChannelsDelta,
    reads="server:{server_id}",
)
GET_SERVER_CHANNEL: Method[GetServerChannel, FullChannel | ChannelDelta] = Method(
    "get_server_channel",
    "guilds",
    GetServerChannel,
    FullChannel,
    delta=ChannelDelta,
    reads="server:{server_of}",
)
ADD_CHANNEL = Method("add_channel", "guilds", AddChannel, Channel)
UPDATE_CHANNEL = Method("update_channel", "guilds", UpdateChannel, Channel)
DELETE_CHANNEL = Method("delete_channel", "guilds", DeleteChannel, Empty)
