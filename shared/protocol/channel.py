"""Channels and categories. Served by guilds."""

from __future__ import annotations

from typing import Literal

from shared.protocol.contract import Delta, Entity, Event, Method, Params
from shared.protocol.fields import Description, Id, Nonce, Rev, Title


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


class CategoryPlace(Entity):
    id: str
    name: str
    position: float
    rev: int


class ServerChannelsDelta(Delta[ChannelPlace, str]):
    """`updated` channels and `categories`; `deleted` holds ids of both kinds."""

    categories: list[CategoryPlace]


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


class AddChannel(Params):
    server_id: Id
    name: Title
    category_id: Id | None = None
    description: Description | None = None
    position: float | None = None
    nonce: Nonce | None = None


class ChannelAdded(Event):
    """`at` is the revision of the channel's own scope from which its events will follow."""

    channel: Channel
    at: int


GET_SERVER_CHANNELS: Method[GetServerChannels, ServerChannels | ServerChannelsDelta] = Method(
    "get_server_channels",
    "guilds",
    GetServerChannels,
    ServerChannels,
    delta=ServerChannelsDelta,
    reads="server:{server_id}",
)
ADD_CHANNEL = Method("add_channel", "guilds", AddChannel, Channel)
