"""Servers. Served by guilds (`guild` in code, `server` on the wire)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from shared.protocol.channel import CategoryListing
from shared.protocol.contract import Audience, Changes, Delta, Empty, Entity, Event, Method, Params, unsent
from shared.protocol.fields import Date, Description, Id, ImageHash, InviteCode, Nonce, Rev, Title
from shared.protocol.role import Role


class Me(Entity):
    """My own membership."""

    roles: list[str]
    nick: str | None
    rev: int


class ServerPreview(Entity):
    """What an invite shows to who is no member."""

    id: str
    name: str
    image: str | None
    description: str | None
    num_members: int
    created_date: Date
    owner_id: str
    rev: int


class Server(ServerPreview):
    me: Me


class FullServerPreview(ServerPreview):
    full: Literal[True] = True


class FullServer(FullServerPreview):
    me: Me


class ServerListing(Entity):
    id: str
    name: str
    image: str | None
    rev: int


class Servers(Entity):
    rev: int
    full: Literal[True] = True
    servers: list[ServerListing]


class ServersDelta(Delta[ServerListing, str]):
    """The servers I came into, and those I am no longer in."""


class ServerDelta(Delta[Server, str]):
    """The server, if it or my membership changed."""


class AddServer(Params):
    name: Title
    image: ImageHash | None = None
    description: Description | None = None
    nonce: Nonce | None = None


class GetServers(Params):
    user_id: Id | None = None
    since: Rev | None = None


class GetServer(Params):
    server_id: Id | None = None
    invite: InviteCode | None = None
    since: Rev | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> GetServer:
        if (self.server_id is None) == (self.invite is None):
            raise ValueError("give either server_id or invite")
        return self


class ServerChanges(Changes):
    """A new owner is named by the old one alone."""

    name: Title = unsent()
    image: ImageHash | None = None
    description: Description | None = None
    owner_id: Id = unsent()


class UpdateServer(Params):
    server_id: Id
    changes: ServerChanges
    if_rev: Rev | None = None


class DeleteServer(Params):
    server_id: Id


class ServerAdded(Event):
    """In `self`: I joined or made it. `scopes` are the positions from which its events will follow."""

    server: Server
    channels: list[CategoryListing]
    roles: list[Role]
    scopes: dict[str, int]


class ServerUpdated(Event):
    server_id: str
    changes: dict[str, Any]
    was: int


class ServerClosed(Event):
    """The server is deleted, as its own scope says it to the gateways; its members are told in their own."""

    audience = Audience.NOBODY
    server_id: str


class ServerDeleted(Event):
    """In `self`; it stands for all the server's channels too."""

    server_id: str
    why: Literal["deleted", "left", "kicked", "banned"]


ADD_SERVER = Method("add_server", "guilds", AddServer, Server)
GET_SERVERS: Method[GetServers, Servers | ServersDelta] = Method(
    "get_servers", "guilds", GetServers, Servers, delta=ServersDelta, reads="self:{me}"
)
GET_SERVER: Method[GetServer, FullServerPreview | ServerDelta] = Method(
    "get_server", "guilds", GetServer, FullServerPreview, delta=ServerDelta, reads="server:{server_id}"
)
UPDATE_SERVER = Method("update_server", "guilds", UpdateServer, Server)
DELETE_SERVER = Method("delete_server", "guilds", DeleteServer, Empty)
