"""Members: joining and leaving."""

from __future__ import annotations

import base64
from datetime import datetime

import orjson

from services.guilds import views
from services.guilds.channels import MAX_CHANNELS
from services.guilds.invites import find_invite, usable_invite
from services.guilds.standing import MAX_ROLES, Standing, standing
from shared.errors import Conflict, InvalidParams, NotFound, Unauthenticated
from shared.journal import Change
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_lookup, head_of, head_within
from shared.profiles import PROFILE, profile, read_profiles
from shared.protocol.contract import Empty
from shared.protocol.server import (
    GET_SERVER_MEMBERS,
    JOIN_SERVER,
    LEAVE_SERVER,
    GetServerMembers,
    JoinServer,
    LeaveServer,
    Member,
    MemberAdded,
    MemberDeleted,
    MembersDelta,
    Server,
    ServerAdded,
    ServerDeleted,
)
from shared.protocol.server import (
    Members as MemberPage,
)
from shared.rights import member_rights
from shared.scopes import channel_scope, self_scope, server_scope, user_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document, Filter

MAX_SERVERS = 200


class Members:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(JOIN_SERVER)
    async def join_server(self, call: Call, params: JoinServer) -> Server:
        async with self._store.snapshot() as snapshot:
            server_id = (await find_invite(snapshot, params.invite))["server_id"]
        scope, mine = server_scope(server_id), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            server = await change.find_one("servers", {"_id": server_id})
            if server is None:
                raise NotFound("invite")
            already = await change.find_one("members", {"server_id": server_id, "user_id": call.user_id})
            if already:
                return views.server_view(server, already, change.head(scope).rev)
            invite = await usable_invite(change, params.invite)
            await must_have_room(change, call.user_id)
            rev = change.rev(scope)
            user = await find_user(change, call.user_id)
            member = new_member(server_id, user, change.now, rev)
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

    @handles(GET_SERVER_MEMBERS)
    async def get_server_members(self, call: Call, params: GetServerMembers) -> MemberPage | MembersDelta:
        scope = server_scope(params.server_id)
        after = _read_anchor(params.anchor)
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            head = await head_within(snapshot, scope)
            changes = None
            if params.since:
                changes = await changes_since(snapshot, scope, params.since, head)
            if changes is None or sight_changed(changes, call.user_id):
                changes = None
                query = {"server_id": params.server_id, **after}
                order = [("name_key", 1), ("user_id", 1)]
                found = await snapshot.find("members", query, params.amount + 1, sort=order)
                touched: set[str] = set()
            else:
                touched = _touched(changes)
                query = {"server_id": params.server_id, "user_id": {"$in": sorted(touched)}}
                found = await snapshot.find("members", query, len(touched)) if touched else []
        call.holds(scope.name, head.rev)
        shown = found if changes is not None else found[: params.amount]
        members = await self._views(call, shown)
        if changes is not None:
            gone = sorted(touched - {member.user.id for member in members})
            return MembersDelta(rev=head.rev, updated=members, deleted=gone)
        next_anchor = _anchor(shown[-1]) if len(found) > params.amount else None
        return MemberPage(rev=head.rev, members=members, next_anchor=next_anchor, total=here.server["num_members"])

    async def _views(self, call: Call, members: list[Document]) -> list[Member]:
        profiles = await read_profiles(self._store, (member["user_id"] for member in members), call.user_id)
        users = {user.id: user for user in profiles}
        for user in profiles:
            call.holds(user_scope(user.id).name, user.rev)
        return [views.member_view(each, users[each["user_id"]]) for each in members if each["user_id"] in users]


def _touched(changes: list[Entry]) -> set[str]:
    touched = {params["member"]["user"]["id"] for params in happened(changes, "member_added")}
    return touched | {params["user_id"] for params in happened(changes, "member_changed", "member_deleted")}


def _anchor(member: Document) -> str:
    """Opaque to clients: the place of the last member shown, which need not exist any more."""
    return base64.urlsafe_b64encode(orjson.dumps([member["name_key"], member["user_id"]])).decode()


def _read_anchor(anchor: str | None) -> Filter:
    if anchor is None:
        return {}
    try:
        name_key, user_id = orjson.loads(base64.urlsafe_b64decode(anchor))
    except (ValueError, TypeError):
        raise InvalidParams.of("anchor", "is none that get_server_members gave") from None
    if not isinstance(name_key, str) or not isinstance(user_id, str):
        raise InvalidParams.of("anchor", "is none that get_server_members gave")
    later_id = {"name_key": name_key, "user_id": {"$gt": user_id}}
    return {"$or": [{"name_key": {"$gt": name_key}}, later_id]}


async def must_have_room(change: Change, user_id: str) -> None:
    """Raises Conflict for who is in as many servers as one can be."""
    if len(await change.find("members", {"user_id": user_id}, MAX_SERVERS, projection={"_id": 1})) >= MAX_SERVERS:
        raise Conflict(f"One can be in at most {MAX_SERVERS} servers; leave one first.")


async def find_user(change: Change, user_id: str) -> Document:
    """Who is to become a member. Their document is written, so that a rename at the same moment conflicts with it."""
    user = await change.find_one("users", {"_id": user_id}, projection=PROFILE)
    if user is None:
        raise Unauthenticated("This account no longer exists.")
    change.update("users", {"_id": user_id}, {"$inc": {"joins": 1}})
    return user


def new_member(server_id: str, user: Document, joined: datetime, rev: int) -> Document:
    """`name_key` orders the list of members: the shown name in lower case."""
    return {
        "server_id": server_id,
        "user_id": user["_id"],
        "name_key": user["display_name"].lower(),
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
