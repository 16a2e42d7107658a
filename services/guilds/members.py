"""Members: joining and leaving."""

from __future__ import annotations

from datetime import datetime

from services.guilds import views
from services.guilds.channels import MAX_CHANNELS
from services.guilds.invites import usable_invite
from services.guilds.standing import MAX_ROLES, Standing
from shared.errors import Conflict, NotFound
from shared.journal import Change
from shared.journal.reader import head_lookup, head_of
from shared.profiles import profile
from shared.protocol.contract import Empty
from shared.protocol.server import (
    JOIN_SERVER,
    LEAVE_SERVER,
    JoinServer,
    LeaveServer,
    Member,
    MemberAdded,
    MemberDeleted,
    Server,
    ServerAdded,
    ServerDeleted,
)
from shared.rights import member_rights
from shared.scopes import channel_scope, self_scope, server_scope
from shared.service import Call, Parts, handles
from shared.store import Document

MAX_SERVERS = 200


class Members:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(JOIN_SERVER)
    async def join_server(self, call: Call, params: JoinServer) -> Server:
        async with self._store.snapshot() as snapshot:
            server_id = (await usable_invite(snapshot, params.invite))["server_id"]
        scope, mine = server_scope(server_id), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            invite = await usable_invite(change, params.invite)
            server = await change.find_one("servers", {"_id": server_id})
            user = await change.find_one("users", {"_id": call.user_id})
            if server is None or user is None:
                raise NotFound("invite")
            already = await change.find_one("members", {"server_id": server_id, "user_id": call.user_id})
            if already:
                return views.server_view(server, already, change.head(scope).rev)
            await must_have_room(change, call.user_id)
            rev = change.rev(scope)
            member = new_member(server_id, call.user_id, change.now, rev)
            server["num_members"] += 1
            change.insert("members", member)
            change.update("servers", {"_id": server_id}, {"$inc": {"num_members": 1}})
            change.update("invites", {"_id": invite["_id"], "uses": invite["uses"]}, {"$inc": {"uses": 1}})
            joined = Member(user=profile(user, ""), roles=[], nick=None, joined_date=member["joined_date"], rev=rev)
            change.record(scope, MemberAdded(member=joined))
            added = await _server_added(change, server, member, rev)
            change.record(mine, added)
            return added.server

    @handles(LEAVE_SERVER)
    async def leave_server(self, call: Call, params: LeaveServer) -> Empty:
        scope, mine = server_scope(params.server_id), self_scope(call.user_id)
        key = {"server_id": params.server_id, "user_id": call.user_id}
        async with self._journal.change(call.origin, scope, mine) as change:
            server = await change.find_one("servers", {"_id": params.server_id})
            if server is None or await change.find_one("members", key) is None:
                return Empty()
            if server["owner_id"] == call.user_id:
                raise Conflict("The owner cannot leave: hand the server over or delete it.")
            change.delete("members", key)
            # Who loses sight raises perm_rev: what is written from now on is not judged by what was before.
            gone = {"$inc": {"num_members": -1}, "$set": {"perm_rev": change.rev(scope)}}
            change.update("servers", {"_id": params.server_id}, gone)
            change.record(scope, MemberDeleted(user_id=call.user_id))
            change.record(mine, ServerDeleted(server_id=params.server_id, why="left"))
        return Empty()


async def must_have_room(change: Change, user_id: str) -> None:
    """Raises Conflict for who is in as many servers as one can be."""
    if len(await change.find("members", {"user_id": user_id}, MAX_SERVERS, projection={"_id": 1})) >= MAX_SERVERS:
        raise Conflict(f"One can be in at most {MAX_SERVERS} servers; leave one first.")


def new_member(server_id: str, user_id: str, joined: datetime, rev: int) -> Document:
    return {
        "server_id": server_id,
        "user_id": user_id,
        "roles": [],
        "nick": None,
        "joined_date": joined,
        "rev": rev,
    }


async def _server_added(change: Change, server: Document, member: Document, rev: int) -> ServerAdded:
    """The whole server as the new member may see it, with the position in each scope, all of one snapshot."""
    in_server = {"server_id": server["_id"]}
    roles = await change.find("roles", in_server, MAX_ROLES)
    scoped = [{"$match": in_server}, {"$addFields": {"scope": {"$concat": ["channel:", "$_id"]}}}]
    channels = await change.aggregate("channels", [*scoped, *head_lookup("scope")], MAX_CHANNELS)
    rights = Standing(server, member, roles).rights
    seen = views.visible(channels, rights, member_rights(member))
    positions = {channel_scope(channel["_id"], server["_id"]).name: head_of(channel).rev for channel in seen}
    return ServerAdded(
        server=views.server_view(server, member, rev),
        channels=views.channel_listing(seen),
        roles=views.role_views(roles),
        scopes={server_scope(server["_id"]).name: rev, **positions},
    )
