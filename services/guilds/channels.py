"""Channels of a server: making, changing, moving and deleting them, and looking at one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.guilds import views
from services.guilds.categories import MAX_CHANNELS, find_category, next_position
from services.guilds.edits import differing, must_be_current, once_each, rights_change
from services.guilds.reading import overwrites_widen
from services.guilds.remains import close_channel, must_have_deleted
from services.guilds.standing import Reader, Standing, may_grant, needs, rules_in, standing
from shared.errors import Conflict, InvalidParams, NotFound
from shared.ids import new_id
from shared.journal import Change
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_lookup, head_of, head_within
from shared.permissions import MANAGE_CHANNELS, MANAGE_ROLES, overwritten, roles_with_access
from shared.protocol.channel import (
    ADD_CHANNEL,
    DELETE_CHANNEL,
    GET_SERVER_CHANNEL,
    UPDATE_CHANNEL,
    AddChannel,
    Channel,
    ChannelAdded,
    ChannelDeleted,
    ChannelDelta,
    ChannelUpdated,
    DeleteChannel,
    FullChannel,
    GetServerChannel,
    OverwriteParams,
    UpdateChannel,
)
from shared.protocol.contract import Empty
from shared.rights import channel_overwrites, member_rights
from shared.scopes import channel_scope, server_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document, Store
from shared.widening import Widened

MAX_OVERWRITES = 5000
"""Of all channels of a server together. Gateways load them all at once."""


class Channels:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(GET_SERVER_CHANNEL)
    async def get_server_channel(self, call: Call, params: GetServerChannel) -> FullChannel | ChannelDelta:
        async with self._store.snapshot() as snapshot:
            channel = await find_channel(snapshot, params.channel_id)
            scope = server_scope(channel["server_id"])
            here = await standing(snapshot, channel["server_id"], call.user_id, kind="channel")
            rules_in(here, channel)
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            changes = await changes_since(snapshot, scope, params.since, head) if params.since else None
        view = views.channel_view(channel, here.rights, head_of(channel).last_id)
        if changes is None or sight_changed(changes, call.user_id, here.role_ids):
            return FullChannel(**{**dict(view), "rev": head.rev})
        return ChannelDelta(rev=head.rev, updated=[view] if _touched(changes, channel["_id"]) else [], deleted=[])

    @handles(ADD_CHANNEL)
    async def add_channel(self, call: Call, params: AddChannel) -> Channel:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_CHANNELS)
            overwrites = _overwrites(here, params.roles or [])
            if overwrites:
                here.needs(MANAGE_ROLES)
                await _must_have_room(change, params.server_id, len(overwrites))
                may_grant(here.rules, overwritten({}, channel_overwrites({"roles": overwrites})))
            if params.category_id:
                await find_category(change, params.server_id, params.category_id)
            channels = await change.find("channels", {"server_id": params.server_id}, MAX_CHANNELS)
            if len(channels) >= MAX_CHANNELS:
                raise Conflict(f"A server has at most {MAX_CHANNELS} channels; delete one first.")
            position = next_position(channels) if params.position is None else params.position
            channel = new_channel(params.server_id, params.name, position, change.rev(scope))
            channel |= {"description": params.description, "category_id": params.category_id, "roles": overwrites}
            change.insert("channels", channel)
            added = views.channel_view(channel, here.rights, last_message_id=0)
            change.record(scope, ChannelAdded(channel=added, at=0))
            return change.returns(added)

    @handles(UPDATE_CHANNEL)
    async def update_channel(self, call: Call, params: UpdateChannel) -> Channel:
        scope = server_scope(await _server_of(self._store, params.channel_id))
        async with self._journal.change(call.origin, scope) as change:
            channel = await find_channel(change, params.channel_id)
            here = await standing(change, scope.id, call.user_id, kind="channel")
            rules = rules_in(here, channel)
            needs(rules, MANAGE_CHANNELS)
            if "roles" in params.changes.model_fields_set:
                needs(rules, MANAGE_ROLES)
            must_be_current(channel, params.if_rev)
            changed = await _changed(change, here, channel, params)
            after = {**channel, **changed, "rev": change.rev(scope) if changed else channel["rev"]}
            view = views.channel_view(after, here.rights, head_of(channel).last_id)
            if not changed:
                return view
            told = dict(changed)
            if "roles" in changed:
                before, then = channel_overwrites(channel), channel_overwrites(after)
                may_grant(rules, overwritten(before, then))
                await _must_have_room(change, scope.id, len(after["roles"]) - len(channel["roles"]))
                rights_change(change, scope)
                await overwrites_widen(change, here.rights, channel["_id"], Widened(before, then), after["rev"])
                told["roles_with_access"] = roles_with_access(here.rights, then)
            change.update("channels", {"_id": channel["_id"]}, {"$set": {**changed, "rev": after["rev"]}})
            event = ChannelUpdated(channel_id=channel["_id"], changes=told, was=channel["rev"])
            change.record(scope, event.judged_by(**_left(channel, changed)))
            return view

    @handles(DELETE_CHANNEL)
    async def delete_channel(self, call: Call, params: DeleteChannel) -> Empty:
        """The channel goes at once, what was said in it follows.

        Twice is once for who did it, and for who manages the server's channels. Who might have done it by an overwrite
        alone is told what everybody else is: the overwrites went with the channel.
        """
        server_id = await _server_of(self._store, params.channel_id, deleted=True)
        scope, own = server_scope(server_id), channel_scope(params.channel_id, server_id)
        async with self._journal.change(call.origin, scope, own) as change:
            here = await standing(change, server_id, call.user_id, kind="channel")
            channel = await change.find_one("channels", {"_id": params.channel_id})
            if channel is None:
                if MANAGE_CHANNELS not in here.rules:
                    await must_have_deleted(change, own, call.user_id, "channel")
                return Empty()
            needs(rules_in(here, channel), MANAGE_CHANNELS)
            close_channel(change, own)
            rights_change(change, scope)
            event = ChannelDeleted(channel_id=channel["_id"])
            change.record(scope, event.judged_by(category_id=channel["category_id"], roles=channel["roles"]))
        return Empty()


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


async def find_channel(reader: Reader, channel_id: str) -> Document:
    """The channel with its own scope's head; raises NotFound."""
    stages: list[Document] = [
        {"$match": {"_id": channel_id}},
        {"$addFields": {"scope": {"$concat": ["channel:", "$_id"]}}},
    ]
    found = await reader.aggregate("channels", [*stages, *head_lookup("scope")], 1)
    if not found:
        raise NotFound("channel")
    return found[0]


async def _server_of(store: Store, channel_id: str, *, deleted: bool = False) -> str:
    """The server a channel belongs to, or where it is deleted, belonged to; raises NotFound."""
    async with store.snapshot() as snapshot:
        channel = await snapshot.find_one("channels", {"_id": channel_id}, projection={"server_id": 1})
        if channel is not None:
            return str(channel["server_id"])
        last = None
        if deleted:
            name = channel_scope(channel_id, "").name
            last = await snapshot.find_one("journal", {"scope": name}, sort=[("rev", -1)], projection={"within": 1})
    if last is None or not last["within"]:
        raise NotFound("channel")
    return str(last["within"])


def _touched(changes: Iterable[Entry], channel_id: str) -> bool:
    """Whether a channel itself changed. Roles that are gone have left it too, but then sight may have changed."""
    return any(params["channel_id"] == channel_id for params in happened(changes, "channel_updated"))


async def _changed(change: Change, here: Standing, channel: Document, params: UpdateChannel) -> dict[str, Any]:
    """What really changes; raises NotFound for a category or role that isn't there."""
    wanted = params.changes.wanted()
    if "roles" in wanted:
        wanted["roles"] = _overwrites(here, params.changes.roles)
        if channel_overwrites({"roles": wanted["roles"]}) == channel_overwrites(channel):
            del wanted["roles"]
    changed = differing(channel, wanted)
    if changed.get("category_id") is not None:
        await _find_seen_category(change, here, changed["category_id"])
    return changed


async def _find_seen_category(change: Change, here: Standing, category_id: str) -> None:
    """Raises NotFound also where it shows no channel to a member who manages only some of them."""
    server_id = here.server["_id"]
    await find_category(change, server_id, category_id)
    if MANAGE_CHANNELS in here.rules:
        return
    under = await change.find("channels", {"server_id": server_id, "category_id": category_id}, MAX_CHANNELS)
    if not views.visible(under, here.rights, member_rights(here.member)):
        raise NotFound("category")


async def _must_have_room(change: Change, server_id: str, more: int) -> None:
    """Raises Conflict when a server would have too many overwrites with so many more."""
    counted: list[Document] = [
        {"$match": {"server_id": server_id}},
        {"$group": {"_id": None, "number": {"$sum": {"$size": "$roles"}}}},
    ]
    found = await change.aggregate("channels", counted, 1) if more > 0 else []
    if found and found[0]["number"] + more > MAX_OVERWRITES:
        raise Conflict(f"A server has at most {MAX_OVERWRITES} overwrites in all its channels; take some away first.")


def _left(channel: Document, changed: dict[str, Any]) -> dict[str, Any]:
    """The category that a channel was in, if it moves to another."""
    return {"category_id": channel["category_id"]} if "category_id" in changed else {}


def _overwrites(here: Standing, sent: list[OverwriteParams]) -> list[Document]:
    """As documents keep them; raises for a role that is not there, or is there twice.

    A rule that is allowed as well as denied is allowed (`shared/permissions.py`): the denial is not kept.
    """
    if len({overwrite.role_id for overwrite in sent}) < len(sent):
        raise InvalidParams.of("roles", "names a role twice")
    for overwrite in sent:
        if here.role(overwrite.role_id) is None:
            raise NotFound("role")
    return [
        {
            "role_id": each.role_id,
            "allow": once_each(each.allow),
            "deny": [rule for rule in once_each(each.deny) if rule not in each.allow],
        }
        for each in sent
    ]
