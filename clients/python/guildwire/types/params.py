"""What methods take.

Made by generate.py from the server's contracts: don't edit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


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
    """`null` clears `image` and `status_text`, nothing else. A new `password` needs the `old_password`."""

    display_name: NotRequired[str | None]
    image: NotRequired[str | None]
    status: NotRequired[Literal["online", "idle", "dnd", "invisible"] | None]
    status_text: NotRequired[str | None]
    password: NotRequired[str | None]
    old_password: NotRequired[str | None]


class UpdateUserParams(TypedDict):
    changes: UserChangesParams


class DeleteUserParams(TypedDict):
    password: str


class GetFriendsParams(TypedDict):
    since: NotRequired[int | None]
    anchor: NotRequired[str | None]


class AddFriendParams(TypedDict):
    """Give either `user_id` or `name`."""

    user_id: NotRequired[str | None]
    name: NotRequired[str | None]
    nonce: NotRequired[str | None]


class UpdateFriendParams(TypedDict):
    user_id: str
    state: Literal["friend", "blocked"]


class DeleteFriendParams(TypedDict):
    user_id: str


class GetSettingsParams(TypedDict):
    since: NotRequired[int | None]


class UpdateSettingsParams(TypedDict):
    """At most 16 KiB as compact JSON, 32 levels deep; no key may be `$ref` or hold a NUL character."""

    settings: dict[str, Any]


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


class ServerChangesParams(TypedDict):
    """A new owner is named by the old one alone."""

    name: NotRequired[str]
    image: NotRequired[str | None]
    description: NotRequired[str | None]
    owner_id: NotRequired[str]


class UpdateServerParams(TypedDict):
    server_id: str
    changes: ServerChangesParams
    if_rev: NotRequired[int | None]


class DeleteServerParams(TypedDict):
    server_id: str


class AddCategoryParams(TypedDict):
    server_id: str
    name: str
    position: NotRequired[float | None]
    nonce: NotRequired[str | None]


class CategoryChangesParams(TypedDict):
    name: NotRequired[str]
    position: NotRequired[float]


class UpdateCategoryParams(TypedDict):
    server_id: str
    category_id: str
    changes: CategoryChangesParams
    if_rev: NotRequired[int | None]


class DeleteCategoryParams(TypedDict):
    server_id: str
    category_id: str


class GetServerChannelsParams(TypedDict):
    server_id: str
    user_id: NotRequired[str | None]
    since: NotRequired[int | None]


class GetServerChannelParams(TypedDict):
    channel_id: str
    since: NotRequired[int | None]


class OverwriteParamsParams(TypedDict):
    """What the channel allows and denies to one role."""

    role_id: str
    allow: NotRequired[
        list[
            Literal[
                "view_channel",
                "send_messages",
                "add_reactions",
                "mention_everyone",
                "manage_messages",
                "manage_channels",
                "manage_roles",
                "manage_server",
                "invite_members",
                "kick_members",
                "ban_members",
                "administrator",
            ]
        ]
    ]
    deny: NotRequired[
        list[
            Literal[
                "view_channel",
                "send_messages",
                "add_reactions",
                "mention_everyone",
                "manage_messages",
                "manage_channels",
                "manage_roles",
                "manage_server",
                "invite_members",
                "kick_members",
                "ban_members",
                "administrator",
            ]
        ]
    ]


class AddChannelParams(TypedDict):
    server_id: str
    name: str
    category_id: NotRequired[str | None]
    description: NotRequired[str | None]
    position: NotRequired[float | None]
    roles: NotRequired[list[OverwriteParamsParams] | None]
    nonce: NotRequired[str | None]


class ChannelChangesParams(TypedDict):
    """`roles` replaces all overwrites."""

    name: NotRequired[str]
    description: NotRequired[str | None]
    category_id: NotRequired[str | None]
    position: NotRequired[float]
    roles: NotRequired[list[OverwriteParamsParams]]


class UpdateChannelParams(TypedDict):
    channel_id: str
    changes: ChannelChangesParams
    if_rev: NotRequired[int | None]


class DeleteChannelParams(TypedDict):
    channel_id: str


class GetServerRolesParams(TypedDict):
    server_id: str
    user_id: NotRequired[str | None]
    since: NotRequired[int | None]


class AddRoleParams(TypedDict):
    server_id: str
    name: str
    color: str
    rules: list[
        Literal[
            "view_channel",
            "send_messages",
            "add_reactions",
            "mention_everyone",
            "manage_messages",
            "manage_channels",
            "manage_roles",
            "manage_server",
            "invite_members",
            "kick_members",
            "ban_members",
            "administrator",
        ]
    ]
    nonce: NotRequired[str | None]


class RoleChangesParams(TypedDict):
    name: NotRequired[str]
    color: NotRequired[str]
    rules: NotRequired[
        list[
            Literal[
                "view_channel",
                "send_messages",
                "add_reactions",
                "mention_everyone",
                "manage_messages",
                "manage_channels",
                "manage_roles",
                "manage_server",
                "invite_members",
                "kick_members",
                "ban_members",
                "administrator",
            ]
        ]
    ]
    position: NotRequired[float]


class UpdateRoleParams(TypedDict):
    server_id: str
    role_id: str
    changes: RoleChangesParams
    if_rev: NotRequired[int | None]


class DeleteRoleParams(TypedDict):
    server_id: str
    role_id: str


class MemberFilterParams(TypedDict):
    """All that are given must hold. `name` is the beginning of a nick, display name or name, in any case."""

    name: NotRequired[str | None]
    role_id: NotRequired[str | None]
    channel_id: NotRequired[str | None]
    user_ids: NotRequired[list[str] | None]
    friends: NotRequired[bool | None]
    online: NotRequired[bool | None]


class GetServerMembersParams(TypedDict):
    server_id: str
    amount: int
    anchor: NotRequired[str | None]
    filter: NotRequired[MemberFilterParams | None]
    since: NotRequired[int | None]


class JoinServerParams(TypedDict):
    invite: str


class LeaveServerParams(TypedDict):
    server_id: str


class MemberChangesParams(TypedDict):
    nick: NotRequired[str | None]
    roles: NotRequired[list[str]]


class UpdateMemberParams(TypedDict):
    server_id: str
    user_id: str
    changes: MemberChangesParams
    if_rev: NotRequired[int | None]


class DeleteMemberParams(TypedDict):
    server_id: str
    user_id: str


class AddInviteParams(TypedDict):
    server_id: str
    max_uses: NotRequired[int | None]
    expires_in: NotRequired[int | None]
    nonce: NotRequired[str | None]


class GetInvitesParams(TypedDict):
    server_id: str


class DeleteInviteParams(TypedDict):
    server_id: str
    code: str


class AddBanParams(TypedDict):
    server_id: str
    user_id: str
    why: NotRequired[str | None]
    nonce: NotRequired[str | None]


class DeleteBanParams(TypedDict):
    server_id: str
    user_id: str


class GetBansParams(TypedDict):
    server_id: str
    amount: int
    anchor: NotRequired[str | None]


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


class AddReactionParams(TypedDict):
    channel_id: str
    message_id: int
    emoji: str
    nonce: NotRequired[str | None]


class DeleteReactionParams(TypedDict):
    channel_id: str
    message_id: int
    emoji: str


class StartTypingParams(TypedDict):
    channel_id: str


class GetReadStatesParams(TypedDict):
    """Of every channel that you may see, direct ones too; with `server_id` of that server's."""

    server_id: NotRequired[str | None]


class UpdateReadStateParams(TypedDict):
    """All up to `message_id` is read; one beyond the last message stands for the last."""

    channel_id: str
    message_id: int


class GetDirectChannelsParams(TypedDict):
    since: NotRequired[int | None]


class AddDirectChannelParams(TypedDict):
    """There is one channel for each set of users; you are always among them."""

    user_ids: list[str]
    nonce: NotRequired[str | None]


class LeaveDirectChannelParams(TypedDict):
    channel_id: str
