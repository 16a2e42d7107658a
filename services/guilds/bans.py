"""Bans: who is banned is no member, can't become one, and can't look at the server by an invite.

A ban takes a revision of the server, also of who is no member: so that of a ban and a join at the same moment one
comes first. Their revisions are their order.
"""

from __future__ import annotations

from services.guilds.members import find_profile, remove_member
from services.guilds.standing import standing
from shared.errors import Conflict, InvalidParams
from shared.friendship import friendship
from shared.journal.reader import head_within
from shared.permissions import BAN_MEMBERS
from shared.profiles import profile, read_profiles
from shared.protocol.account import User
from shared.protocol.ban import ADD_BAN, DELETE_BAN, GET_BANS, AddBan, Ban, DeleteBan, GetBans
from shared.protocol.ban import Bans as BanPage
from shared.protocol.contract import Empty
from shared.scopes import self_scope, server_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Filter


class Bans:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(ADD_BAN)
    async def add_ban(self, call: Call, params: AddBan) -> Ban:
        scope, theirs = server_scope(params.server_id), self_scope(params.user_id)
        key = {"server_id": params.server_id, "user_id": params.user_id}
        async with self._journal.change(call.origin, scope, theirs) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(BAN_MEMBERS)
            banned = await find_profile(change, params.user_id)
            are_friends = (await friendship(change, call.user_id, params.user_id)).is_friend
            user = profile(banned, call.user_id, is_acquainted=are_friends)
            call.holds(user_scope(user.id).name, user.rev)
            if params.user_id == call.user_id:
                raise Conflict("Nobody bans themselves.")
            member = await change.find_one("members", key)
            if member is not None:
                here.must_outrank(member)
            ban = await change.find_one("bans", key)
            if ban is not None:
                return change.returns(_view(ban, user))
            ban = {**key, "why": params.why, "by": call.user_id, "date": change.now, "rev": change.rev(scope)}
            change.insert("bans", ban)
            change.delete_all("invites", key)
            change.record(scope)
            if member is not None:
                remove_member(change, params.server_id, params.user_id, "banned")
            return change.returns(_view(ban, user))

    @handles(DELETE_BAN)
    async def delete_ban(self, call: Call, params: DeleteBan) -> Empty:
        async with self._journal.change(call.origin) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(BAN_MEMBERS)
            change.delete("bans", {"server_id": params.server_id, "user_id": params.user_id})
        return Empty()

    @handles(GET_BANS)
    async def get_bans(self, call: Call, params: GetBans) -> BanPage:
        scope = server_scope(params.server_id)
        query: Filter = {"server_id": params.server_id}
        if params.anchor is not None:
            query["rev"] = {"$lt": _read_anchor(params.anchor)}
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            here.needs(BAN_MEMBERS)
            head = await head_within(snapshot, scope)
            found = await snapshot.find("bans", query, params.amount + 1, sort=[("rev", -1)])
        page = found[: params.amount]
        users = {user.id: user for user in await read_profiles(self._store, (b["user_id"] for b in page), call.user_id)}
        for user in users.values():
            call.holds(user_scope(user.id).name, user.rev)
        return BanPage(
            rev=head.rev,
            bans=[_view(ban, users[ban["user_id"]]) for ban in page if ban["user_id"] in users],
            next_anchor=str(page[-1]["rev"]) if len(found) > params.amount else None,
        )


def _view(ban: Document, user: User) -> Ban:
    return Ban(user=user, why=ban["why"], by=ban["by"], date=ban["date"])


def _read_anchor(anchor: str) -> int:
    """Bans older than this one follow; it need not exist any more."""
    if not (anchor.isascii() and anchor.isdigit() and len(anchor) < 16):
        raise InvalidParams.of("anchor", "is none that get_bans gave")
    return int(anchor)
