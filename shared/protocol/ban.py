"""Bans: users who can neither see nor join a server. Served by guilds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.protocol.account import User
from shared.protocol.contract import Empty, Entity, Method, Params
from shared.protocol.fields import Amount, Date, Id, Nonce, Reason


class Ban(Entity):
    """`by` is who banned."""

    user: User
    why: str | None
    by: str
    date: Date


class Bans(Entity):
    """The newest first. `next_anchor` is null on the last page."""

    rev: int
    full: Literal[True] = True
    bans: list[Ban]
    next_anchor: str | None


class AddBan(Params):
    server_id: Id
    user_id: Id
    why: Reason | None = None
    nonce: Nonce | None = None


class DeleteBan(Params):
    server_id: Id
    user_id: Id


class GetBans(Params):
    server_id: Id
    amount: Amount
    anchor: Annotated[str, Field(min_length=1, max_length=512)] | None = None


ADD_BAN = Method("add_ban", "guilds", AddBan, Ban)
DELETE_BAN = Method("delete_ban", "guilds", DeleteBan, Empty)
GET_BANS = Method("get_bans", "guilds", GetBans, Bans, reads="server:{server_id}")
