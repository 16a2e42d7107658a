"""Channels of a server."""

from __future__ import annotations

from services.guilds import views
from services.guilds.standing import Standing, standing
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_within
from shared.permissions import MANAGE_CHANNELS, MANAGE_ROLES
from shared.protocol.channel import (
    ADD_CHANNEL,
    GET_SERVER_CHANNELS,
    AddChannel,
    Channel,
    ChannelAdded,
    GetServerChannels,
    ServerChannels,
    ServerChannelsDelta,
)
from shared.rights import member_rights
from shared.scopes import server_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document, Snapshot

MAX_CHANNELS = 500


class Channels:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(ADD_CHANNEL)
    async def add_channel(self, call: Call, params: AddChannel) -> Channel:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_CHANNELS)
            in_server = {"server_id": params.server_id}
            if params.category_id and not await change.find_one("categories", in_server | {"_id": params.category_id}):
                raise NotFound("category")
            channels = await change.find("channels", in_server, MAX_CHANNELS, projection={"position": 1})
            if len(channels) >= MAX_CHANNELS:
                raise Conflict(f"A server has at most {MAX_CHANNELS} channels; delete one first.")
            position = params.position
            if position is None:
                position = max((channel["position"] for channel in channels), default=-1) + 1
            channel = new_channel(params.server_id, params.name, position, change.rev(scope))
            channel |= {"description": params.description, "category_id": params.category_id}
            change.insert("channels", channel)
            added = views.channel_view(channel, here.rights, last_message_id=0)
            change.record(scope, ChannelAdded(channel=added, at=0))
            return change.returns(added)

    @handles(GET_SERVER_CHANNELS)
    async def get_server_channels(self, call: Call, params: GetServerChannels) -> ServerChannels | ServerChannelsDelta:
        scope = server_scope(params.server_id)
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            whose = here.member
            if params.user_id is not None and params.user_id != call.user_id:
                here.needs(MANAGE_ROLES)
                whose = (await standing(snapshot, params.server_id, params.user_id, kind="member")).member
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            if params.since and params.user_id in (None, call.user_id):
                changes = await changes_since(snapshot, scope, params.since, head)
                if changes is not None and not sight_changed(changes, call.user_id):
                    return await _delta(snapshot, here, changes, head.rev)
            channels = await snapshot.find("channels", {"server_id": params.server_id}, MAX_CHANNELS)
        seen = views.visible(channels, here.rights, member_rights(whose))
        return ServerChannels(rev=head.rev, categories=views.channel_listing(seen))


async def _delta(snapshot: Snapshot, here: Standing, changes: list[Entry], rev: int) -> ServerChannelsDelta:
    touched = {params["channel"]["id"] for params in happened(changes, "channel_added")}
    touched |= {params["channel_id"] for params in happened(changes, "channel_updated", "channel_deleted")}
    if not touched:
        return ServerChannelsDelta(rev=rev, updated=[], deleted=[], categories=[])
    query = {"server_id": here.server["_id"], "_id": {"$in": sorted(touched)}}
    channels = await snapshot.find("channels", query, MAX_CHANNELS)
    seen = views.visible(channels, here.rights, member_rights(here.member))
    updated = [views.channel_place(channel) for channel in seen]
    gone = sorted(touched - {channel.id for channel in updated})
    return ServerChannelsDelta(rev=rev, updated=updated, deleted=gone, categories=[])


def new_channel(server_id: str, name: str, position: float, rev: int) -> Document:
    return {
        "_id": new_id(),
        "server_id": server_id,
        "name": name,
        "description": None,
        "category_id": None,
        "position": position,
        "roles": [],
        "rev": rev,
    }
