"""What a gateway must know to fan out: what a user is in, and all of a server that decides who is told what."""

from __future__ import annotations

from services.guilds import views
from services.guilds.categories import MAX_CATEGORIES, MAX_CHANNELS
from services.guilds.members import MAX_SERVERS
from services.guilds.standing import MAX_ROLES
from shared.directs import open_directs
from shared.errors import NotFound
from shared.journal.reader import head_lookup, head_of, head_within
from shared.protocol.contract import NoParams
from shared.protocol.internal import (
    GET_MEMBERSHIPS,
    GET_SERVER_VIEW,
    ChannelView,
    GetServerView,
    Membership,
    Memberships,
    ServerView,
)
from shared.scopes import self_scope, server_scope
from shared.service import Call, Parts, handles
from shared.store import Document

_THERE: list[Document] = [
    {
        "$lookup": {
            "from": "servers",
            "localField": "server_id",
            "foreignField": "_id",
            "pipeline": [{"$project": {"_id": 1}}],
            "as": "server",
        }
    },
    {"$match": {"server": {"$ne": []}}},
]
"""Stages that leave out members of servers that are deleted."""


class Interest:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @handles(GET_MEMBERSHIPS)
    async def get_memberships(self, call: Call, _params: NoParams) -> Memberships:
        """Without servers that are deleted, whose members are still to follow."""
        mine = {"$match": {"user_id": call.user_id}}
        stages = [mine, *_THERE, _scope_of("server:", "$server_id"), *head_lookup("scope")]
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, self_scope(call.user_id))
            members = await snapshot.aggregate("members", stages, MAX_SERVERS)
            directs = await open_directs(snapshot, call.user_id)
        return Memberships(
            position=head.rev,
            servers={
                member["server_id"]: Membership(rev=head_of(member).rev, roles=member["roles"]) for member in members
            },
            directs={direct["_id"]: head_of(direct).rev for direct in directs},
        )

    @handles(GET_SERVER_VIEW)
    async def get_server_view(self, _call: Call, params: GetServerView) -> ServerView:
        """In one message, however large the server: what a server may have is bounded so that it fits (4 MiB)."""
        in_server = {"server_id": params.server_id}
        stages = [{"$match": in_server}, _scope_of("channel:", "$_id"), *head_lookup("scope")]
        async with self._store.snapshot() as snapshot:
            server = await snapshot.find_one("servers", {"_id": params.server_id})
            if server is None:
                raise NotFound("server")
            head = await head_within(snapshot, server_scope(params.server_id))
            roles = await snapshot.find("roles", in_server, MAX_ROLES)
            categories = await snapshot.find("categories", in_server, MAX_CATEGORIES)
            channels = await snapshot.aggregate("channels", stages, MAX_CHANNELS)
        return ServerView(
            rev=head.rev,
            owner_id=server["owner_id"],
            everyone_id=server["everyone_id"],
            roles={role["_id"]: role["rules"] for role in roles},
            categories=[views.category_view(category) for category in categories],
            channels=[
                ChannelView(channel=views.bare_channel(channel, head.last_id), head=head.rev)
                for channel, head in ((channel, head_of(channel)) for channel in channels)
            ],
        )


def _scope_of(kind: str, field: str) -> Document:
    return {"$addFields": {"scope": {"$concat": [kind, field]}}}
