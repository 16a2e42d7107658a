"""Invites: codes that let their holders look at a server and join it. Served by guilds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.protocol.contract import Empty, Entity, Method, Params
from shared.protocol.fields import Date, Id, InviteCode, Nonce


class Invite(Entity):
    code: str
    server_id: str
    user_id: str
    uses: int
    max_uses: int | None
    expires_date: Date | None


class Invites(Entity):
    """Those that can still be used."""

    rev: int
    full: Literal[True] = True
    invites: list[Invite]


class AddInvite(Params):
    server_id: Id
    max_uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    expires_in: Annotated[int, Field(ge=1, le=10 * 365 * 86_400)] | None = None
    nonce: Nonce | None = None


class GetInvites(Params):
    server_id: Id


class DeleteInvite(Params):
    server_id: Id
    code: InviteCode


ADD_INVITE = Method("add_invite", "guilds", AddInvite, Invite)
GET_INVITES = Method("get_invites", "guilds", GetInvites, Invites, reads="server:{server_id}")
DELETE_INVITE = Method("delete_invite", "guilds", DeleteInvite, Empty)
