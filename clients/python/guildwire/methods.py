"""Every method of the protocol. Made by generate.py from the server's contracts: don't edit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from guildwire import types

NONCES = frozenset(
    {
        "add_ban",
        "add_category",
        "add_channel",
        "add_direct_channel",
        "add_friend",
        "add_invite",
        "add_message",
        "add_reaction",
        "add_role",
        "add_server",
    }
)
"""Methods that a nonce makes safe to repeat; one is made for each call that gives none."""


class Methods(ABC):
    @abstractmethod
    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Sends a request and returns its result. Params that are None are left out."""

    async def forget(self, scopes: list[str]) -> None:
        await self.call("forget", {"scopes": scopes})

    async def logout(self) -> None:
        await self.call("logout", {})

    async def get_sessions(self) -> types.SessionList:
        result: types.SessionList = await self.call("get_sessions", {})
        return result

    async def delete_session(self, session_id: str) -> None:
        await self.call("delete_session", {"session_id": session_id})

    async def get_user(self, *, user_id: str | None = None) -> types.FullUser:
        result: types.FullUser = await self.call("get_user", {"user_id": user_id})
        return result

    async def get_users(self, users: dict[str, int]) -> types.UserList:
        result: types.UserList = await self.call("get_users", {"users": users})
        return result

    async def update_user(self, changes: types.UserChangesParams) -> types.User:
        result: types.User = await self.call("update_user", {"changes": changes})
        return result

    async def delete_user(self, password: str) -> None:
        await self.call("delete_user", {"password": password})

    async def ping(self) -> types.Pong:
        result: types.Pong = await self.call("ping", {})
        return result

    async def get_friends(self, *, anchor: str | None = None) -> types.FriendList:
        result: types.FriendList = await self.call("get_friends", {"anchor": anchor})
        return result

    async def add_friend(
        self, *, user_id: str | None = None, name: str | None = None, nonce: str | None = None
    ) -> types.Friend:
        result: types.Friend = await self.call("add_friend", {"user_id": user_id, "name": name, "nonce": nonce})
        return result

    async def update_friend(self, user_id: str, state: Literal["friend", "blocked"]) -> types.Friend:
        result: types.Friend = await self.call("update_friend", {"user_id": user_id, "state": state})
        return result

    async def delete_friend(self, user_id: str) -> None:
        await self.call("delete_friend", {"user_id": user_id})

    async def get_settings(self) -> types.FullSettings:
        result: types.FullSettings = await self.call("get_settings", {})
        return result

    async def update_settings(self, settings: dict[str, Any]) -> types.Settings:
        result: types.Settings = await self.call("update_settings", {"settings": settings})
        return result

    async def add_server(
        self, name: str, *, image: str | None = None, description: str | None = None, nonce: str | None = None
    ) -> types.Server:
        result: types.Server = await self.call(
            "add_server", {"name": name, "image": image, "description": description, "nonce": nonce}
        )
        return result

    async def get_servers(self, *, user_id: str | None = None) -> types.Servers:
        result: types.Servers = await self.call("get_servers", {"user_id": user_id})
        return result

    async def get_server(self, *, server_id: str | None = None, invite: str | None = None) -> types.FullServerPreview:
        result: types.FullServerPreview = await self.call("get_server", {"server_id": server_id, "invite": invite})
        return result

    async def update_server(
        self, server_id: str, changes: types.ServerChangesParams, *, if_rev: int | None = None
    ) -> types.Server:
        result: types.Server = await self.call(
            "update_server", {"server_id": server_id, "changes": changes, "if_rev": if_rev}
        )
        return result

    async def delete_server(self, server_id: str) -> None:
        await self.call("delete_server", {"server_id": server_id})

    async def add_category(
        self, server_id: str, name: str, *, position: float | None = None, nonce: str | None = None
    ) -> types.Category:
        result: types.Category = await self.call(
            "add_category", {"server_id": server_id, "name": name, "position": position, "nonce": nonce}
        )
        return result

    async def update_category(
        self, server_id: str, category_id: str, changes: types.CategoryChangesParams, *, if_rev: int | None = None
    ) -> types.Category:
        result: types.Category = await self.call(
            "update_category",
            {"server_id": server_id, "category_id": category_id, "changes": changes, "if_rev": if_rev},
        )
        return result

    async def delete_category(self, server_id: str, category_id: str) -> None:
        await self.call("delete_category", {"server_id": server_id, "category_id": category_id})

    async def get_server_channels(self, server_id: str, *, user_id: str | None = None) -> types.ServerChannels:
        result: types.ServerChannels = await self.call(
            "get_server_channels", {"server_id": server_id, "user_id": user_id}
        )
        return result

    async def get_server_channel(self, channel_id: str) -> types.FullChannel:
        result: types.FullChannel = await self.call("get_server_channel", {"channel_id": channel_id})
        return result

    async def add_channel(
        self,
        server_id: str,
        name: str,
        *,
        category_id: str | None = None,
        description: str | None = None,
        position: float | None = None,
        roles: list[types.OverwriteParamsParams] | None = None,
        nonce: str | None = None,
    ) -> types.Channel:
        result: types.Channel = await self.call(
            "add_channel",
            {
                "server_id": server_id,
                "name": name,
                "category_id": category_id,
                "description": description,
                "position": position,
                "roles": roles,
                "nonce": nonce,
            },
        )
        return result

    async def update_channel(
        self, channel_id: str, changes: types.ChannelChangesParams, *, if_rev: int | None = None
    ) -> types.Channel:
        result: types.Channel = await self.call(
            "update_channel", {"channel_id": channel_id, "changes": changes, "if_rev": if_rev}
        )
        return result

    async def delete_channel(self, channel_id: str) -> None:
        await self.call("delete_channel", {"channel_id": channel_id})

    async def get_server_roles(self, server_id: str, *, user_id: str | None = None) -> types.Roles:
        result: types.Roles = await self.call("get_server_roles", {"server_id": server_id, "user_id": user_id})
        return result

    async def add_role(
        self,
        server_id: str,
        name: str,
        color: str,
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
        ],
        *,
        nonce: str | None = None,
    ) -> types.Role:
        result: types.Role = await self.call(
            "add_role", {"server_id": server_id, "name": name, "color": color, "rules": rules, "nonce": nonce}
        )
        return result

    async def update_role(
        self, server_id: str, role_id: str, changes: types.RoleChangesParams, *, if_rev: int | None = None
    ) -> types.Role:
        result: types.Role = await self.call(
            "update_role", {"server_id": server_id, "role_id": role_id, "changes": changes, "if_rev": if_rev}
        )
        return result

    async def delete_role(self, server_id: str, role_id: str) -> None:
        await self.call("delete_role", {"server_id": server_id, "role_id": role_id})

    async def get_server_members(
        self, server_id: str, amount: int, *, anchor: str | None = None, filter: types.MemberFilterParams | None = None
    ) -> types.Members:
        result: types.Members = await self.call(
            "get_server_members", {"server_id": server_id, "amount": amount, "anchor": anchor, "filter": filter}
        )
        return result

    async def join_server(self, invite: str) -> types.Server:
        result: types.Server = await self.call("join_server", {"invite": invite})
        return result

    async def leave_server(self, server_id: str) -> None:
        await self.call("leave_server", {"server_id": server_id})

    async def update_member(
        self, server_id: str, user_id: str, changes: types.MemberChangesParams, *, if_rev: int | None = None
    ) -> types.Member:
        result: types.Member = await self.call(
            "update_member", {"server_id": server_id, "user_id": user_id, "changes": changes, "if_rev": if_rev}
        )
        return result

    async def delete_member(self, server_id: str, user_id: str) -> None:
        await self.call("delete_member", {"server_id": server_id, "user_id": user_id})

    async def add_invite(
        self, server_id: str, *, max_uses: int | None = None, expires_in: int | None = None, nonce: str | None = None
    ) -> types.Invite:
        result: types.Invite = await self.call(
            "add_invite", {"server_id": server_id, "max_uses": max_uses, "expires_in": expires_in, "nonce": nonce}
        )
        return result

    async def get_invites(self, server_id: str) -> types.Invites:
        result: types.Invites = await self.call("get_invites", {"server_id": server_id})
        return result

    async def delete_invite(self, server_id: str, code: str) -> None:
        await self.call("delete_invite", {"server_id": server_id, "code": code})

    async def add_ban(
        self, server_id: str, user_id: str, *, why: str | None = None, nonce: str | None = None
    ) -> types.Ban:
        result: types.Ban = await self.call(
            "add_ban", {"server_id": server_id, "user_id": user_id, "why": why, "nonce": nonce}
        )
        return result

    async def delete_ban(self, server_id: str, user_id: str) -> None:
        await self.call("delete_ban", {"server_id": server_id, "user_id": user_id})

    async def get_bans(self, server_id: str, amount: int, *, anchor: str | None = None) -> types.Bans:
        result: types.Bans = await self.call("get_bans", {"server_id": server_id, "amount": amount, "anchor": anchor})
        return result

    async def add_message(
        self, channel_id: str, content: str, *, reply_to: int | None = None, nonce: str | None = None
    ) -> types.Message:
        result: types.Message = await self.call(
            "add_message", {"channel_id": channel_id, "content": content, "reply_to": reply_to, "nonce": nonce}
        )
        return result

    async def update_message(self, channel_id: str, message_id: int, content: str) -> types.Message:
        result: types.Message = await self.call(
            "update_message", {"channel_id": channel_id, "message_id": message_id, "content": content}
        )
        return result

    async def delete_message(self, channel_id: str, message_id: int) -> None:
        await self.call("delete_message", {"channel_id": channel_id, "message_id": message_id})

    async def get_message_chunk(
        self,
        channel_id: str,
        amount: int,
        *,
        around: int | None = None,
        anchor: int | None = None,
        direction: bool | None = None,
    ) -> types.MessageChunk:
        result: types.MessageChunk = await self.call(
            "get_message_chunk",
            {"channel_id": channel_id, "amount": amount, "around": around, "anchor": anchor, "direction": direction},
        )
        return result

    async def add_reaction(
        self, channel_id: str, message_id: int, emoji: str, *, nonce: str | None = None
    ) -> types.Reaction:
        result: types.Reaction = await self.call(
            "add_reaction", {"channel_id": channel_id, "message_id": message_id, "emoji": emoji, "nonce": nonce}
        )
        return result

    async def delete_reaction(self, channel_id: str, message_id: int, emoji: str) -> None:
        await self.call("delete_reaction", {"channel_id": channel_id, "message_id": message_id, "emoji": emoji})

    async def start_typing(self, channel_id: str) -> None:
        await self.call("start_typing", {"channel_id": channel_id})

    async def get_read_states(self, *, server_id: str | None = None) -> types.ReadStates:
        result: types.ReadStates = await self.call("get_read_states", {"server_id": server_id})
        return result

    async def update_read_state(self, channel_id: str, message_id: int) -> types.ReadState:
        result: types.ReadState = await self.call(
            "update_read_state", {"channel_id": channel_id, "message_id": message_id}
        )
        return result

    async def get_direct_channels(self) -> types.DirectChannels:
        result: types.DirectChannels = await self.call("get_direct_channels", {})
        return result

    async def add_direct_channel(self, user_ids: list[str], *, nonce: str | None = None) -> types.DirectChannel:
        result: types.DirectChannel = await self.call("add_direct_channel", {"user_ids": user_ids, "nonce": nonce})
        return result

    async def leave_direct_channel(self, channel_id: str) -> None:
        await self.call("leave_direct_channel", {"channel_id": channel_id})
