"""Accounts, sessions and public profiles. Served by presence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from shared.protocol.contract import Delta, Empty, Entity, Event, Method, NoParams, Params
from shared.protocol.fields import Date, DisplayName, Id, ImageHash, Password, Rev, StatusText, Title, Token, UserName

SESSION_ENDED_SUBJECT = "session.ended"
"""On NATS, with the session's id: a hint to every gateway that its sockets are to be closed."""

OwnStatus = Literal["online", "idle", "dnd", "invisible"]
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
    """`resume`: the positions of what is cached; `members`: the servers whose members are."""

    token: Token
    resume: dict[str, Rev] | None = None
    members: list[Id] = Field(default_factory=list, max_length=200)


class Identify(Params):
    token: Token


class Resume(Params):
    scopes: dict[str, Rev]
    members: list[Id] = Field(default_factory=list, max_length=200)


class Resumed(Entity):
    """What was cached, sorted: `current` up to a revision, `stale` to be asked for, `gone` to be dropped."""

    current: dict[str, int]
    stale: list[str]
    gone: list[str]


class Authenticated(Resumed):
    """Without `resume`, `current` names self and every server with its revision."""

    user: User
    session_id: str
    epoch: str
    protocol: Literal[1] = 1


class Forget(Params):
    scopes: Annotated[list[str], Field(max_length=5000)]


class Identity(Entity):
    """Whose token it is; what the gateway needs before it can ask for more."""

    user: User
    session_id: str
    epoch: str


class CheckSessions(Params):
    session_ids: Annotated[list[str], Field(max_length=200)]


class EndedSessions(Entity):
    session_ids: list[str]


class Session(Entity):
    """A login. `current` is the one that asks."""

    id: str
    device: str | None
    created_date: Date
    used_date: Date
    current: bool


class SessionList(Entity):
    rev: int
    full: Literal[True] = True
    sessions: list[Session]


class DeleteSession(Params):
    session_id: Id


class GetUsers(Params):
    users: Annotated[dict[str, Rev], Field(max_length=100)]


class UserList(Entity):
    rev: int
    full: Literal[True] = True
    users: list[User]


class UserChanges(Params):
    """`null` clears `image` and `status_text`, nothing else. A new `password` needs the `old_password`."""

    display_name: DisplayName | None = None
    image: ImageHash | None = None
    status: OwnStatus | None = None
    status_text: StatusText | None = None
    password: Password | None = None
    old_password: Password | None = None

    @field_validator("display_name", "status", "password", "old_password")
    @classmethod
    def _stays(cls, value: str | None) -> str | None:
        if value is None:
            raise ValueError("cannot be cleared")
        return value

    @model_validator(mode="after")
    def _both_passwords(self) -> UserChanges:
        if (self.password is None) != (self.old_password is None):
            raise ValueError("password and old_password go together")
        return self

    @property
    def profile(self) -> dict[str, Any]:
        """What is to change of the profile."""
        return self.model_dump(include=self.model_fields_set, exclude={"password", "old_password"})


class UpdateUser(Params):
    changes: UserChanges


class DeleteUser(Params):
    password: Password


class UserChanged(Event):
    """Only what changed; `was` is the user's revision before.

    A `status` is told to those whom it is shown to, and one's own choice to one's own devices.
    """

    user_id: str
    changes: dict[str, Any]
    was: int


class GetUser(Params):
    user_id: Id | None = None
    since: Rev | None = None


class FullUser(User):
    full: Literal[True] = True


class UserDelta(Delta[User, str]):
    """The user, if it changed."""


class Pong(Entity):
    time: int


REGISTER = Method("register", "presence", Register, LoggedIn, cost=2, entrance=True)
LOGIN = Method("login", "presence", Login, LoggedIn, cost=2, entrance=True)
AUTHENTICATE = Method("authenticate", "gateway", Authenticate, Authenticated, entrance=True)
IDENTIFY = Method("identify", "presence", Identify, Identity, internal=True)
CHECK_SESSIONS = Method("check_sessions", "presence", CheckSessions, EndedSessions, internal=True)
RESUME = Method("resume", "gateway", Resume, Resumed)
FORGET = Method("forget", "gateway", Forget, Empty)
LOGOUT = Method("logout", "presence", NoParams, Empty)
GET_SESSIONS = Method("get_sessions", "presence", NoParams, SessionList)
DELETE_SESSION = Method("delete_session", "presence", DeleteSession, Empty)
GET_USER: Method[GetUser, FullUser | UserDelta] = Method(
    "get_user", "presence", GetUser, FullUser, delta=UserDelta, reads="user:{user_id}"
)
GET_USERS = Method("get_users", "presence", GetUsers, UserList)
UPDATE_USER = Method("update_user", "presence", UpdateUser, User)
DELETE_USER = Method("delete_user", "presence", DeleteUser, Empty, cost=5)
PING = Method("ping", "gateway", NoParams, Pong, entrance=True)
