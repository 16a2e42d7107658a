"""What methods take.

Made by generate.py from the server's contracts: don't edit.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class RegisterParams(TypedDict):
    name: str
    password: str
    display_name: NotRequired[str | None]
    device: NotRequired[str | None]


class LoginParams(TypedDict):
    name: str
    password: str
    device: NotRequired[str | None]


class AuthenticateParams(TypedDict):
    """`resume`: the positions of what is cached; `members`: the servers whose members are."""

    token: str
    resume: NotRequired[dict[str, int] | None]
    members: NotRequired[list[str]]


class ResumeParams(TypedDict):
    scopes: dict[str, int]
    members: NotRequired[list[str]]


class ForgetParams(TypedDict):
    scopes: list[str]


class DeleteSessionParams(TypedDict):
    session_id: str


class GetUserParams(TypedDict):
    user_id: NotRequired[str | None]
    since: NotRequired[int | None]


class GetUsersParams(TypedDict):
    users: dict[str, int]


class UserChangesParams(TypedDict):
    """`null` clears `status_text`; a display name cannot be cleared."""

    display_name: NotRequired[str | None]
    status_text: NotRequired[str | None]


class UpdateUserParams(TypedDict):
    changes: UserChangesParams


class AddServerParams(TypedDict):
    name: str
    image: NotRequired[str | None]
    description: NotRequired[str | None]
    nonce: NotRequired[str | None]


class GetServersParams(TypedDict):
    user_id: NotRequired[str | None]
    since: NotRequired[int | None]


class GetServerParams(TypedDict):
    server_id: NotRequired[str | None]
    invite: NotRequired[str | None]
    since: NotRequired[int | None]


class GetServerMembersParams(TypedDict):
    server_id: str
    amount: int
    anchor: NotRequired[str | None]
    since: NotRequired[int | None]


class JoinServerParams(TypedDict):
    invite: str


class LeaveServerParams(TypedDict):
    server_id: str


class AddInviteParams(TypedDict):
    server_id: str
    max_uses: NotRequired[int | None]
    expires_in: NotRequired[int | None]
    nonce: NotRequired[str | None]


class GetServerChannelsParams(TypedDict):
    server_id: str
    user_id: NotRequired[str | None]
    since: NotRequired[int | None]


class AddChannelParams(TypedDict):
    server_id: str
    name: str
    category_id: NotRequired[str | None]
    description: NotRequired[str | None]
    position: NotRequired[float | None]
    nonce: NotRequired[str | None]


class AddMessageParams(TypedDict):
    channel_id: str
    content: str
    reply_to: NotRequired[int | None]
    nonce: NotRequired[str | None]


class UpdateMessageParams(TypedDict):
    channel_id: str
    message_id: int
    content: str


class DeleteMessageParams(TypedDict):
    channel_id: str
    message_id: int


class GetMessageChunkParams(TypedDict):
    """`anchor` 0 is the newest page; else ids above it (`direction` true) or below, exclusive.

    `around` instead of both centres the page on a message, which may be deleted.
    """

    channel_id: str
    amount: int
    around: NotRequired[int | None]
    anchor: NotRequired[int | None]
    direction: NotRequired[bool | None]
    since: NotRequired[int | None]
