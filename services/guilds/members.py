"""Members: joining, leaving, being changed and removed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.guilds import views
from services.guilds.categories import MAX_CATEGORIES, MAX_CHANNELS
from services.guilds.edits import differing, must_be_current, rights_change
from services.guilds.invites import find_invite, usable_invite
from services.guilds.reading import channels_with_heads, starts_with_roles
from services.guilds.standing import MAX_ROLES, Reader, Standing, may_grant, standing
from shared.errors import Conflict, InvalidParams, NotFound, Unauthenticated
from shared.journal import Change
from shared.journal.reader import head_of
from shared.member_names import named
from shared.permissions import KICK_MEMBERS, MANAGE_ROLES, channel_rules
from shared.profiles import PROFILE, profile
from shared.protocol.contract import Empty
from shared.protocol.member import (
    DELETE_MEMBER,
    JOIN_SERVER,
    LEAVE_SERVER,
    UPDATE_MEMBER,
    DeleteMember,
    JoinServer,
    LeaveServer,
    Member,
    MemberAdded,
    MemberChanged,
    MemberDeleted,
    UpdateMember,
)
from shared.protocol.server import Server, ServerAdded, ServerDeleted
from shared.reading_starts import start_reading
from shared.rights import channel_overwrites, member_rights
from shared.scopes import channel_scope, self_scope, server_scope, user_scope
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
            server_id = (await find_invite(snapshot, params.invite))["server_id"]
        scope, mine = server_scope(server_id), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            server = await change.find_one("servers", {"_id": server_id})
            if server is None:
                raise NotFound("invite")
            already = await change.find_one("members", {"server_id": server_id, "user_id": call.user_id})
            if already:
                return views.server_view(await standing(change, server_id, call.user_id), change.head(scope).rev)
            if await is_banned(change, server_id, call.user_id):
                raise NotFound("invite")
            invite = await usable_invite(change, params.invite)
            await must_have_room(change, call.user_id)
            rev = change.rev(scope)
            user = await find_user(change, call.user_id)
            member = new_member(server_id, user, change.now, rev)
            server["num_members"] += 1
            change.insert("members", member)
            change.update("servers", {"_id": server_id}, {"$inc": {"num_members": 1}})
            change.update("invites", {"_id": invite["_id"], "uses": invite["uses"]}, {"$inc": {"uses": 1}})
            joined = Member(
                user=profile(user, "", is_acquainted=True),
                roles=[],
                nick=None,
                joined_date=member["joined_date"],
                rev=rev,
            )
            mine_shown = joined.model_copy(update={"user": profile(user, call.user_id)})
            own = {"user_id": call.user_id, "params": {"member": mine_shown.model_dump(mode="json")}}
            change.record(scope, MemberAdded(member=joined), own=own)
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
            remove_member(change, params.server_id, call.user_id, "left")
        return Empty()

    @handles(UPDATE_MEMBER)
    async def update_member(self, call: Call, params: UpdateMember) -> Member:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            member = await find_member(change, params.server_id, params.user_id)
            user = await find_profile(change, params.user_id)
            wanted = params.changes.wanted()
            if "nick" in wanted and params.user_id != call.user_id:
                here.needs(MANAGE_ROLES)
                here.must_outrank(member)
            if "roles" in wanted:
                here.needs(MANAGE_ROLES)
                await _may_have(change, here, member, wanted["roles"])
            must_be_current(member, params.if_rev)
            before = here.held_by(member)
            if "roles" in wanted and set(wanted["roles"]) == set(before):
                del wanted["roles"]
            changed = differing({**member, "roles": before}, wanted)
            rev = change.rev(scope) if changed else member["rev"]
            after = {**member, "roles": before, **changed, "rev": rev}
            if changed:
                names = named(after["nick"], user["name"], user["display_name"]) if "nick" in changed else {}
                key = {"server_id": params.server_id, "user_id": params.user_id}
                settled = {"settled": rev} if "roles" in changed else {}
                change.update("members", key, {"$set": {**changed, **names, **settled, "rev": rev}})
                change.record(scope, MemberChanged(user_id=params.user_id, changes=changed, was=member["rev"]))
            if "roles" in changed:
                rights_change(change, scope)
                await starts_with_roles(change, here.rights, member, after)
        shown = profile(user, call.user_id, is_acquainted=True)
        call.holds(user_scope(shown.id).name, shown.rev)
        return views.member_view(after, shown, after["roles"])

    @handles(DELETE_MEMBER)
    async def delete_member(self, call: Call, params: DeleteMember) -> Empty:
        scope, theirs = server_scope(params.server_id), self_scope(params.user_id)
        async with self._journal.change(call.origin, scope, theirs) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(KICK_MEMBERS)
            member = await change.find_one("members", {"server_id": params.server_id, "user_id": params.user_id})
            if member is None:
                return Empty()
            if params.user_id == call.user_id:
                raise Conflict("Nobody removes themselves; leave the server instead.")
            here.must_outrank(member)
            remove_member(change, params.server_id, params.user_id, "kicked")
        return Empty()


def remove_member(change: Change, server_id: str, user_id: str, why: Literal["left", "kicked", "banned"]) -> None:
    """Ends a membership, in the server's scope and in that of who was the member."""
    scope = server_scope(server_id)
    change.delete("members", {"server_id": server_id, "user_id": user_id})
    change.update("servers", {"_id": server_id}, {"$inc": {"num_members": -1}})
    rights_change(change, scope)
    change.record(scope, MemberDeleted(user_id=user_id))
    change.record(self_scope(user_id), ServerDeleted(server_id=server_id, why=why))


async def _may_have(change: Change, here: Standing, member: Document, roles: list[str]) -> None:
    """Raises unless all that is given and taken ranks below the giver, who has every rule of what is given.

    Also those that a channel allows to it: there the giver must have them.
    """
    if len(set(roles)) < len(roles):
        raise InvalidParams.of("changes.roles", "names a role twice")
    if here.server["everyone_id"] in roles:
        raise InvalidParams.of("changes.roles", "everyone is every member's and can't be given")
    before = set(here.held_by(member))
    for role_id in sorted(before ^ set(roles)):
        role = here.role(role_id)
        if role is None:
            raise NotFound("role")
        here.must_outrank_role(role_id, role["position"])
        if role_id not in before:
            may_grant(here.rules, role["rules"])
    given = set(roles) - before
    naming = {"server_id": here.server["_id"], "roles.role_id": {"$in": sorted(given)}}
    for channel in await change.find("channels", naming, MAX_CHANNELS) if given else []:
        overwrites = channel_overwrites(channel)
        own = channel_rules(here.rights, member_rights(here.member), overwrites)
        may_grant(own, {rule for role_id in given & overwrites.keys() for rule in overwrites[role_id].allow})


async def must_have_room(change: Change, user_id: str) -> None:
    """Raises Conflict for who is in as many servers as one can be."""
    if len(await change.find("members", {"user_id": user_id}, MAX_SERVERS, projection={"_id": 1})) >= MAX_SERVERS:
        raise Conflict(f"One can be in at most {MAX_SERVERS} servers; leave one first.")


async def is_banned(reader: Reader, server_id: str, user_id: str) -> bool:
    return await reader.find_one("bans", {"server_id": server_id, "user_id": user_id}) is not None


async def find_member(reader: Reader, server_id: str, user_id: str) -> Document:
    member = await reader.find_one("members", {"server_id": server_id, "user_id": user_id})
    if member is None:
        raise NotFound("member")
    return member


async def find_profile(reader: Reader, user_id: str) -> Document:
    user = await reader.find_one("users", {"_id": user_id}, projection=PROFILE)
    if user is None or user.get("deleted"):
        raise NotFound("user")
    return user


async def find_user(change: Change, user_id: str) -> Document:
    """Who is to become a member, by their own wish: so that a rename at the same moment conflicts with it."""
    try:
        return await touch_user(change, user_id)
    except NotFound:
        raise Unauthenticated("This account no longer exists.") from None


async def touch_user(change: Change, user_id: str) -> Document:
    """An account that this change needs as it is: writing it conflicts with its deletion. Raises NotFound."""
    user = await find_profile(change, user_id)
    change.update("users", {"_id": user_id}, {"$inc": {"joins": 1}})
    return user


def new_member(server_id: str, user: Document, joined: datetime, rev: int) -> Document:
    return {
        "server_id": server_id,
        "user_id": user["_id"],
        **named(None, user["name"], user["display_name"]),
        "roles": [],
        "joined_date": joined,
        "settled": rev,
        "rev": rev,
    }


async def _server_added(change: Change, server: Document, member: Document, rev: int) -> ServerAdded:
    """The whole server as the new member may see it, with the position in each scope, all of one snapshot."""
    in_server = {"server_id": server["_id"]}
    roles = await change.find("roles", in_server, MAX_ROLES)
    channels = await channels_with_heads(change, server["_id"])
    categories = await change.find("categories", in_server, MAX_CATEGORIES)
    here, mine = Standing(server, member, roles), member_rights(member)
    seen = views.visible(channels, here.rights, mine)
    shown = views.visible_categories(categories, seen, here.rights, mine)
    positions = {channel_scope(channel["_id"], server["_id"]).name: head_of(channel).rev for channel in seen}
    # Of all channels: what this member may see only later was not there for them before either.
    last_ids = {channel["_id"]: head_of(channel).last_id for channel in channels}
    start_reading(change, server["_id"], [member["user_id"]], last_ids)
    return ServerAdded(
        server=views.server_view(here, rev),
        channels=views.channel_listing(seen, shown),
        roles=views.role_views(roles),
        scopes={server_scope(server["_id"]).name: rev, **positions},
    )
