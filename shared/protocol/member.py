"""Members of a server. Served by guilds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.protocol.account import User
from shared.protocol.contract import Audience, Changes, Delta, Empty, Entity, Event, Method, Params, unsent
from shared.protocol.fields import Amount, Date, DisplayName, Id, InviteCode, Rev
from shared.protocol.server import Server


class Member(Entity):
    user: User
    roles: list[str]
    nick: str | None
    joined_date: Date
    rev: int


class Members(Entity):
    """A page in the order of shown names. `total` is the server's, `next_anchor` null on the last page."""

    rev: int
    full: Literal[True] = True
    members: list[Member]
    next_anchor: str | None
    total: int


class MembersDelta(Delta[Member, str]):
    """Members that came or changed, and the users who are none any more."""


class MemberFilter(Params):
    """All that are given must hold. `name` is the beginning of a nick, display name or name, in any case."""

    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    role_id: Id | None = None
    channel_id: Id | None = None
    user_ids: Annotated[list[Id], Field(max_length=100)] | None = None
    friends: bool | None = None
    online: bool | None = None


class GetServerMembers(Params):
    server_id: Id
    amount: Amount
    anchor: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    filter: MemberFilter | None = None
    since: Rev | None = None


class JoinServer(Params):
    invite: InviteCode


class LeaveServer(Params):
    server_id: Id


class MemberChanges(Changes):
    nick: DisplayName | None = None
    roles: Annotated[list[Id], Field(max_length=250)] = unsent()


class UpdateMember(Params):
    server_id: Id
    user_id: Id
    changes: MemberChanges
    if_rev: Rev | None = None


class DeleteMember(Params):
    server_id: Id
    user_id: Id


class MemberAdded(Event):
    audience = Audience.MEMBERS
    member: Member

    def users(self) -> dict[str, int]:
        return {self.member.user.id: self.member.user.rev}


class MemberChanged(Event):
    audience = Audience.MEMBERS
    user_id: str
    changes: dict[str, Any]
    was: int


class MemberDeleted(Event):
    audience = Audience.MEMBERS
    user_id: str


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
UPDATE_MEMBER = Method("update_member", "guilds", UpdateMember, Member)
DELETE_MEMBER = Method("delete_member", "guilds", DeleteMember, Empty)
