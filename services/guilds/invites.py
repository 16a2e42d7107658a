"""Invites: a code that lets its holder look at a server and join it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.guilds.standing import Reader, standing
from shared.errors import Conflict, NotFound
from shared.ids import new_invite_code
from shared.journal.reader import head_within
from shared.permissions import INVITE_MEMBERS, MANAGE_SERVER
from shared.protocol.contract import Empty
from shared.protocol.invite import (
    ADD_INVITE,
    DELETE_INVITE,
    GET_INVITES,
    AddInvite,
    DeleteInvite,
    GetInvites,
    Invite,
)
from shared.protocol.invite import Invites as InviteList
from shared.scopes import server_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Filter

MAX_INVITES = 100


class Invites:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(ADD_INVITE)
    async def add_invite(self, call: Call, params: AddInvite) -> Invite:
        """Nobody is told, so no revision moves; but what it was judged by must still be so when it is there.

        Therefore it writes the server's document, as do another invite, a ban, a kick, a change of rights and the end.
        """
        async with self._journal.change(call.origin, server_scope(params.server_id)) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(INVITE_MEMBERS)
            if len(await change.find("invites", _usable(params.server_id), MAX_INVITES)) >= MAX_INVITES:
                raise Conflict(f"A server has at most {MAX_INVITES} invites; delete one first.")
            expires = change.now + timedelta(seconds=params.expires_in) if params.expires_in else None
            invite = {
                "_id": new_invite_code(),
                "server_id": params.server_id,
                "user_id": call.user_id,
                "uses": 0,
                "max_uses": params.max_uses,
                "expires_date": expires,
            }
            change.insert("invites", invite)
            change.update("servers", {"_id": params.server_id}, {"$inc": {"invites_made": 1}})
            return change.returns(_view(invite))

    @handles(GET_INVITES)
    async def get_invites(self, call: Call, params: GetInvites) -> InviteList:
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            here.needs(MANAGE_SERVER)
            head = await head_within(snapshot, server_scope(params.server_id))
            invites = await snapshot.find("invites", _usable(params.server_id), MAX_INVITES, sort=[("_id", 1)])
        return InviteList(rev=head.rev, invites=[_view(invite) for invite in invites])

    @handles(DELETE_INVITE)
    async def delete_invite(self, call: Call, params: DeleteInvite) -> Empty:
        """Who made it may always take it back."""
        async with self._journal.change(call.origin) as change:
            here = await standing(change, params.server_id, call.user_id)
            key = {"_id": params.code, "server_id": params.server_id}
            invite = await change.find_one("invites", key)
            if invite is None:
                return Empty()
            if invite["user_id"] != call.user_id:
                here.needs(MANAGE_SERVER)
            change.delete("invites", key)
        return Empty()


async def find_invite(reader: Reader, code: str) -> Document:
    """The invite, also one that is expired or used up: who joined by it may ask again."""
    invite = await reader.find_one("invites", {"_id": code})
    if invite is None:
        raise NotFound("invite")
    return invite


async def usable_invite(reader: Reader, code: str) -> Document:
    """Raises NotFound alike for a code that is wrong, expired or used up."""
    invite = await find_invite(reader, code)
    if not _is_usable(invite):
        raise NotFound("invite")
    return invite


def _usable(server_id: str) -> Filter:
    """The invites of a server that can still be used: what `_is_usable` says of one, as a query."""
    unexpired: Filter = {"$or": [{"expires_date": None}, {"expires_date": {"$gt": datetime.now(UTC)}}]}
    unspent: Filter = {"$or": [{"max_uses": None}, {"$expr": {"$lt": ["$uses", "$max_uses"]}}]}
    return {"server_id": server_id, "$and": [unexpired, unspent]}


def _is_usable(invite: Document) -> bool:
    expires: datetime | None = invite["expires_date"]
    if expires is not None and expires.replace(tzinfo=UTC) <= datetime.now(UTC):
        return False
    return invite["max_uses"] is None or bool(invite["uses"] < invite["max_uses"])


def _view(invite: Document) -> Invite:
    return Invite(
        code=invite["_id"],
        server_id=invite["server_id"],
        user_id=invite["user_id"],
        uses=invite["uses"],
        max_uses=invite["max_uses"],
        expires_date=invite["expires_date"],
    )
