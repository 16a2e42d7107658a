"""Every method of the protocol. Made by generate.py from the server's contracts: don't edit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from guildwire import types

NONCES = frozenset({"add_channel", "add_invite", "add_message", "add_server"})
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

    async def ping(self) -> types.Pong:
        result: types.Pong = await self.call("ping", {})
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

    async def get_server_members(self, server_id: str, amount: int, *, anchor: str | None = None) -> types.Members:
        result: types.Members = await self.call(
            "get_server_members", {"server_id": server_id, "amount": amount, "anchor": anchor}
        )
        return result

    async def join_server(self, invite: str) -> types.Server:
        result: types.Server = await self.call("join_server", {"invite": invite})
        return result

    async def leave_server(self, server_id: str) -> None:
        await self.call("leave_server", {"server_id": server_id})

    async def add_invite(
        self, server_id: str, *, max_uses: int | None = None, expires_in: int | None = None, nonce: str | None = None
    ) -> types.Invite:
        result: types.Invite = await self.call(
            "add_invite", {"server_id": server_id, "max_uses": max_uses, "expires_in": expires_in, "nonce": nonce}
        )
        return result

    async def get_server_channels(self, server_id: str, *, user_id: str | None = None) -> types.ServerChannels:
        result: types.ServerChannels = await self.call(
            "get_server_channels", {"server_id": server_id, "user_id": user_id}
        )
        return result

    async def add_channel(
        self,
        server_id: str,
        name: str,
        *,
        category_id: str | None = None,
        description: str | None = None,
        position: float | None = None,
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
                "nonce": nonce,
            },
        )
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
