"""Servers: making, changing and deleting one, and looking at them."""

from __future__ import annotations

from services.guilds import views
from services.guilds.channels import new_channel
from services.guilds.edits import differing, must_be_current
from services.guilds.invites import usable_invite
from services.guilds.members import (
    MAX_SERVERS,
    find_member,
    find_user,
    is_banned,
    must_have_room,
    new_member,
    touch_user,
)
from services.guilds.reading import starts_as_owner
from services.guilds.remains import close_server, must_have_deleted
from services.guilds.standing import Standing, standing
from shared.errors import Forbidden, NotFound
from shared.ids import new_id
from shared.images import must_be_uploaded
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_within
from shared.permissions import EVERYONE_RULES, MANAGE_SERVER
from shared.protocol.contract import Empty
from shared.protocol.server import (
    ADD_SERVER,
    DELETE_SERVER,
    GET_SERVER,
    GET_SERVERS,
    UPDATE_SERVER,
    AddServer,
    DeleteServer,
    FullServer,
    FullServerPreview,
    GetServer,
    GetServers,
    Server,
    ServerAdded,
    ServerDelta,
    ServersDelta,
    ServerUpdated,
    UpdateServer,
)
from shared.protocol.server import (
    Servers as ServerList,
)
from shared.scopes import channel_scope, self_scope, server_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document, Snapshot


class Servers:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(ADD_SERVER)
    async def add_server(self, call: Call, params: AddServer) -> Server:
        await must_be_uploaded(self._store, params.image, "image")
        server_id, everyone_id = new_id(), new_id()
        scope, mine = server_scope(server_id), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            await must_have_room(change, call.user_id)
            rev = change.rev(scope)
            server: Document = {
                "_id": server_id,
                "name": params.name,
                "image": params.image,
                "description": params.description,
                "owner_id": call.user_id,
                "everyone_id": everyone_id,
                "num_members": 1,
                "created_date": change.now,
                "perm_rev": rev,
                "rev": rev,
            }
            everyone: Document = {
                "_id": everyone_id,
                "server_id": server_id,
                "name": "everyone",
                "color": "",
                "rules": list(EVERYONE_RULES),
                "position": 0,
                "rev": rev,
            }
            general = new_channel(server_id, "general", 0, rev)
            user = await find_user(change, call.user_id)
            member = new_member(server_id, user, change.now, rev)
            change.insert("servers", server)
            change.insert("roles", everyone)
            change.insert("channels", general)
            change.insert("members", member)
            added = views.server_view(Standing(server, member, [everyone]), rev)
            change.record(scope)
            change.record(
                mine,
                ServerAdded(
                    server=added,
                    channels=views.channel_listing([general]),
                    roles=[views.role_view(everyone)],
                    scopes={scope.name: rev, channel_scope(general["_id"], server_id).name: 0},
                ),
            )
            return change.returns(added)

    @handles(UPDATE_SERVER)
    async def update_server(self, call: Call, params: UpdateServer) -> Server:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            sent = params.changes.model_fields_set
            if sent != {"owner_id"}:
                here.needs(MANAGE_SERVER)
            if "owner_id" in sent and not here.is_owner:
                raise Forbidden("Only the owner hands the server over.")
            must_be_current(here.server, params.if_rev)
            changed = differing(here.server, params.changes.wanted())
            if not changed:
                return views.server_view(here, change.head(scope).rev)
            await must_be_uploaded(self._store, changed.get("image"), "changes.image")
            rev = change.rev(scope)
            written = {**changed, "rev": rev}
            if "owner_id" in changed:
                heir = await find_member(change, params.server_id, changed["owner_id"])
                await touch_user(change, heir["user_id"])
                await starts_as_owner(change, here.rights, heir)
                written["perm_rev"] = rev
            change.update("servers", {"_id": params.server_id}, {"$set": written})
            change.record(scope, ServerUpdated(server_id=params.server_id, changes=changed, was=here.server["rev"]))
            return views.server_view(Standing({**here.server, **written}, here.member, here.roles), rev)

    @handles(DELETE_SERVER)
    async def delete_server(self, call: Call, params: DeleteServer) -> Empty:
        """It is gone at once for everybody; what hung off it follows, and each member is told in their own scope."""
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            if await change.find_one("servers", {"_id": params.server_id}) is None:
                await must_have_deleted(change, scope, call.user_id, "server")
                return Empty()
            here = await standing(change, params.server_id, call.user_id)
            if not here.is_owner:
                raise Forbidden("Only the owner deletes the server.")
            close_server(change, scope)
        return Empty()

    @handles(GET_SERVERS)
    async def get_servers(self, call: Call, params: GetServers) -> ServerList | ServersDelta:
        mine = self_scope(call.user_id)
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, mine)
            call.holds(mine.name, head.rev)
            if params.since is not None and params.user_id in (None, call.user_id):
                changes = await changes_since(snapshot, mine, params.since, head)
                if changes is not None:
                    return await _servers_delta(snapshot, call.user_id, changes, head.rev)
            ids = await _server_ids(snapshot, call.user_id)
            if params.user_id is not None and params.user_id != call.user_id:
                ids &= await _server_ids(snapshot, params.user_id)
            servers = await snapshot.find("servers", {"_id": {"$in": sorted(ids)}}, MAX_SERVERS)
        listed = [views.server_listing(server) for server in sorted(servers, key=lambda server: server["_id"])]
        return ServerList(rev=head.rev, servers=listed)

    @handles(GET_SERVER)
    async def get_server(self, call: Call, params: GetServer) -> FullServerPreview | ServerDelta:
        async with self._store.snapshot() as snapshot:
            if params.invite is not None:
                invite = await usable_invite(snapshot, params.invite)
                server = await snapshot.find_one("servers", {"_id": invite["server_id"]})
                if server is None or await is_banned(snapshot, server["_id"], call.user_id):
                    raise NotFound("invite")
                head = await head_within(snapshot, server_scope(server["_id"]))
                call.holds(server_scope(server["_id"]).name, head.rev)
                return FullServerPreview(**dict(views.server_preview(server, head.rev)))
            assert params.server_id is not None  # noqa: S101 - the contract wants one of both
            here = await standing(snapshot, params.server_id, call.user_id)
            scope = server_scope(params.server_id)
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            changes = None
            if params.since:
                changes = await changes_since(snapshot, scope, params.since, head)
        view = views.server_view(here, head.rev)
        if changes is None or sight_changed(changes, call.user_id, here.role_ids):
            return FullServer(**dict(view))
        mine = any(params["user_id"] == call.user_id for params in happened(changes, "member_changed"))
        touched = mine or bool(happened(changes, "server_updated"))
        return ServerDelta(rev=head.rev, updated=[view] if touched else [], deleted=[])


async def _servers_delta(snapshot: Snapshot, user_id: str, changes: list[Entry], rev: int) -> ServersDelta:
    touched = {params["server"]["id"] for params in happened(changes, "server_added")}
    touched |= {params["server_id"] for params in happened(changes, "server_deleted")}
    if not touched:
        return ServersDelta(rev=rev, updated=[], deleted=[])
    ids = touched & await _server_ids(snapshot, user_id)
    servers = await snapshot.find("servers", {"_id": {"$in": sorted(ids)}}, MAX_SERVERS)
    updated = [views.server_listing(server) for server in sorted(servers, key=lambda server: server["_id"])]
    return ServersDelta(rev=rev, updated=updated, deleted=sorted(touched - {each.id for each in updated}))


async def _server_ids(snapshot: Snapshot, user_id: str) -> set[str]:
    members = await snapshot.find("members", {"user_id": user_id}, MAX_SERVERS, projection={"server_id": 1})
    return {member["server_id"] for member in members}
