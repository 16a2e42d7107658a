"""Servers, their roles, members and invites. Served by guilds (`guild` in code, `server` on the wire)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.protocol.account import User
from shared.protocol.channel import CategoryListing
from shared.protocol.contract import Audience, Delta, Empty, Entity, Event, Method, Params
from shared.protocol.fields import Amount, Date, Description, Id, ImageHash, InviteCode, Nonce, Rev, Title


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


class Role(Entity):
    id: str
    name: str
    color: str
    rules: list[str]
    position: float
    rev: int


class Member(Entity):
    user: User
    roles: list[str]
    nick: str | None
    joined_date: Date
    rev: int


class Invite(Entity):
    code: str
    server_id: str
    user_id: str
    uses: int
    max_uses: int | None
    expires_date: Date | None


class ServersDelta(Delta[ServerListing, str]):
    """The servers I came into, and those I am no longer in."""


class ServerDelta(Delta[Server, str]):
    """The server, if it or my membership changed."""


class Members(Entity):
    """A page in the order of shown names. `total` is the server's, `next_anchor` null on the last page."""

    rev: int
    full: Literal[True] = True
    members: list[Member]
    next_anchor: str | None
    total: int


class MembersDelta(Delta[Member, str]):
    """Members that came or changed, and the users who are none any more."""


class GetServerMembers(Params):
    server_id: Id
    amount: Amount
    anchor: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    since: Rev | None = None


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


class JoinServer(Params):
    invite: InviteCode


class LeaveServer(Params):
    server_id: Id


class AddInvite(Params):
    server_id: Id
    max_uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    expires_in: Annotated[int, Field(ge=1, le=10 * 365 * 86_400)] | None = None
    nonce: Nonce | None = None


class ServerAdded(Event):
    """In `self`: I joined or made it. `scopes` are the positions from which its events will follow."""

    server: Server
    channels: list[CategoryListing]
    roles: list[Role]
    scopes: dict[str, int]


class ServerDeleted(Event):
    server_id: str
    why: Literal["deleted", "left", "kicked", "banned"]


class MemberAdded(Event):
    audience = Audience.MEMBERS
    member: Member

    def users(self) -> dict[str, int]:
        return {self.member.user.id: self.member.user.rev}


class MemberDeleted(Event):
    audience = Audience.MEMBERS
    user_id: str


ADD_SERVER = Method("add_server", "guilds", AddServer, Server)
GET_SERVERS: Method[GetServers, Servers | ServersDelta] = Method(
    "get_servers", "guilds", GetServers, Servers, delta=ServersDelta, reads="self:{me}"
)
GET_SERVER: Method[GetServer, FullServerPreview | ServerDelta] = Method(
    "get_server", "guilds", GetServer, FullServerPreview, delta=ServerDelta, reads="server:{server_id}"
)
GET_SERVER_MEMBERS: Method[GetServerMembers, Members | MembersDelta] = Method(
    "get_server_members",
    "guilds",
    GetServerMembers,
    Members,
    delta=MembersDelta,
    reads="server:{server_id}",
    loads_members=True,
)
JOIN_SERVER = Method("join_server", "guilds", JoinServer, Server)
LEAVE_SERVER = Method("leave_server", "guilds", LeaveServer, Empty)
ADD_INVITE = Method("add_invite", "guilds", AddInvite, Invite)
