"""All channels of their servers that a user may see, by one snapshot and a few queries, however many there are."""

from __future__ import annotations

from dataclasses import dataclass

from shared.permissions import VIEW_CHANNEL, channel_rules
from shared.rights import channel_overwrites, member_rights, server_rights
from shared.store import Document, Snapshot

_MAX_SERVERS = 200
_MAX_ROLES = 250
_MAX_CHANNELS = 500


@dataclass(frozen=True, slots=True)
class VisibleChannel:
    id: str
    server_id: str


async def visible_channels(
    snapshot: Snapshot, user_id: str, server_id: str | None = None
) -> tuple[list[str], list[VisibleChannel]]:
    """The servers the user is in, and the channels they see there; of one server, if one is named."""
    mine: Document = {"user_id": user_id} if server_id is None else {"server_id": server_id, "user_id": user_id}
    members = {each["server_id"]: each for each in await snapshot.find("members", mine, _MAX_SERVERS)}
    within: Document = {"$in": sorted(members)}
    servers = await snapshot.find("servers", {"_id": within}, _MAX_SERVERS)
    fields = {"server_id": 1, "rules": 1}
    roles: dict[str, list[Document]] = {}
    limit = len(members) * _MAX_ROLES
    for role in await snapshot.find("roles", {"server_id": within}, limit, projection=fields) if members else []:
        roles.setdefault(role["server_id"], []).append(role)
    rights = {each["_id"]: server_rights(each, roles.get(each["_id"], [])) for each in servers}
    fields = {"server_id": 1, "roles": 1}
    limit = len(members) * _MAX_CHANNELS
    channels = await snapshot.find("channels", {"server_id": within}, limit, projection=fields) if members else []
    seen = [
        VisibleChannel(channel["_id"], channel["server_id"])
        for channel in channels
        if (here := rights.get(channel["server_id"])) is not None
        and VIEW_CHANNEL in channel_rules(here, member_rights(members[here.server_id]), channel_overwrites(channel))
    ]
    return list(rights), seen
