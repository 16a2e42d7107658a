"""The list of a server's channels, under their categories, as one member may see it."""

from __future__ import annotations

from services.guilds import views
from services.guilds.categories import MAX_CATEGORIES, MAX_CHANNELS
from services.guilds.standing import Standing, standing
from shared.journal.entry import Entry, events_of, happened
from shared.journal.reader import changes_since, head_within
from shared.permissions import MANAGE_CHANNELS, MANAGE_ROLES, VIEW_CHANNEL, channel_rules
from shared.protocol.channel import GET_SERVER_CHANNELS, GetServerChannels, ServerChannels, ServerChannelsDelta
from shared.rights import channel_overwrites, member_rights
from shared.scopes import server_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document


class ChannelLists:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @handles(GET_SERVER_CHANNELS)
    async def get_server_channels(self, call: Call, params: GetServerChannels) -> ServerChannels | ServerChannelsDelta:
        scope = server_scope(params.server_id)
        mine = params.user_id in (None, call.user_id)
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            whose = here.member
            if not mine:
                here.needs(MANAGE_ROLES)
                whose = (await standing(snapshot, params.server_id, params.user_id or "", kind="member")).member
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            changes = await changes_since(snapshot, scope, params.since, head) if params.since and mine else None
            if changes == []:
                return ServerChannelsDelta(rev=head.rev, updated=[], deleted=[], categories=[])
            in_server = {"server_id": params.server_id}
            channels = await snapshot.find("channels", in_server, MAX_CHANNELS)
            categories = await snapshot.find("categories", in_server, MAX_CATEGORIES)
        member = member_rights(whose)
        seen = views.visible(channels, here.rights, member)
        shown = views.visible_categories(categories, seen, here.rights, member)
        if changes is not None and _can_be_told(here, changes, categories):
            return _delta(changes, seen, shown, head.rev, _gone(here, changes))
        return ServerChannels(rev=head.rev, categories=views.channel_listing(seen, shown))


def _can_be_told(here: Standing, changes: list[Entry], categories: list[Document]) -> bool:
    """False where something may have come into sight or gone out of it that no entry names.

    With its last channel a category goes out of the sight of who doesn't manage channels.
    """
    if sight_changed(changes, here.member["user_id"], here.role_ids):
        return False
    if MANAGE_CHANNELS in here.rules or not (categories or happened(changes, "category_deleted")):
        return True
    moved = any("category_id" in params["changes"] for params in happened(changes, "channel_updated"))
    return not moved and not happened(changes, "channel_deleted")


def _gone(here: Standing, changes: list[Entry]) -> list[str]:
    """What was deleted, of what the member saw. What is there and not seen was not seen before either.

    Who can't manage channels saw no category that could be deleted without moving a channel, which is no delta.
    """
    member = member_rights(here.member)
    gone = {params["category_id"] for params in happened(changes, "category_deleted") if MANAGE_CHANNELS in here.rules}
    for event in events_of(changes, "channel_deleted"):
        if VIEW_CHANNEL in channel_rules(here.rights, member, channel_overwrites(event["facts"])):
            gone.add(event["params"]["channel_id"])
    return sorted(gone)


def _delta(
    changes: list[Entry], seen: list[Document], shown: list[Document], rev: int, gone: list[str]
) -> ServerChannelsDelta:
    """The touched channels, and the categories that were touched or hold one."""
    touched = {params["channel"]["id"] for params in happened(changes, "channel_added")}
    touched |= {params["channel_id"] for params in happened(changes, "channel_updated")}
    headings = {params["category"]["id"] for params in happened(changes, "category_added")}
    headings |= {params["category_id"] for params in happened(changes, "category_updated")}
    updated = [channel for channel in seen if channel["_id"] in touched]
    headings |= {channel["category_id"] for channel in updated}
    return ServerChannelsDelta(
        rev=rev,
        updated=[views.channel_place(channel) for channel in updated],
        categories=[views.category_view(category) for category in shown if category["_id"] in headings],
        deleted=gone,
    )
