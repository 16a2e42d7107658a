"""Accounts, sessions and public profiles. Served by presence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.protocol.contract import Empty, Entity, Method, NoParams, Params
from shared.protocol.fields import DisplayName, Id, Password, Rev, Title, Token, UserName

SESSION_ENDED_SUBJECT = "session.ended"
"""On NATS, with the session's id: a hint to every gateway that its sockets are to be closed."""

Status = Literal["online", "idle", "dnd", "invisible", "offline"]


class User(Entity):
    """A public profile. `status` is what the reader may see: `invisible` only in one's own."""

    id: str
    name: str
    display_name: str
    image: str | None
    status: Status
    status_text: str | None
    rev: int


class Register(Params):
    name: UserName
    password: Password
    display_name: DisplayName | None = None
    device: Title | None = None


class Login(Params):
    name: UserName
    password: Password
    device: Title | None = None


class LoggedIn(Entity):
    user: User
    token: str


class Authenticate(Params):
    token: Token


class Authenticated(Entity):
    """The reply without `resume`: `current` names self and every server with its revision."""

    user: User
    session_id: str
    epoch: str
    protocol: Literal[1] = 1
    current: dict[str, int]
    stale: list[str]
    gone: list[str]


class Identity(Entity):
    """Whose token it is; what the gateway needs before it can ask for more."""

    user: User
    session_id: str
    epoch: str


class CheckSessions(Params):
    session_ids: Annotated[list[str], Field(max_length=200)]


class EndedSessions(Entity):
    session_ids: list[str]


class GetUser(Params):
    user_id: Id | None = None
    since: Rev | None = None


class FullUser(User):
    full: Literal[True] = True


class Pong(Entity):
    time: int


REGISTER = Method("register", "presence", Register, LoggedIn, cost=5, entrance=True)
LOGIN = Method("login", "presence", Login, LoggedIn, cost=5, entrance=True)
AUTHENTICATE = Method("authenticate", "gateway", Authenticate, Authenticated, entrance=True)
IDENTIFY = Method("identify", "presence", Authenticate, Identity, internal=True)
CHECK_SESSIONS = Method("check_sessions", "presence", CheckSessions, EndedSessions, internal=True)
LOGOUT = Method("logout", "presence", NoParams, Empty)
GET_USER = Method("get_user", "presence", GetUser, FullUser, reads="user:{user_id}")
PING = Method("ping", "gateway", NoParams, Pong, entrance=True)
