"""What a gateway must know to fan out: which servers a user is in, which channels a server has, and how far each is."""

from __future__ import annotations

from services.guilds.channels import MAX_CHANNELS
from services.guilds.members import MAX_SERVERS
from shared.errors import NotFound
from shared.journal.reader import head_lookup, head_of, head_within
from shared.protocol.contract import NoParams
from shared.protocol.internal import GET_MEMBERSHIPS, GET_SERVER_VIEW, GetServerView, Memberships, ServerView
from shared.scopes import self_scope, server_scope
from shared.service import Call, Parts, handles
from shared.store import Document


class Interest:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @handles(GET_MEMBERSHIPS)
    async def get_memberships(self, call: Call, _params: NoParams) -> Memberships:
        stages = [{"$match": {"user_id": call.user_id}}, _scope_of("server:", "$server_id"), *head_lookup("scope")]
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, self_scope(call.user_id))
            members = await snapshot.aggregate("members", stages, MAX_SERVERS)
        return Memberships(position=head.rev, servers={member["server_id"]: head_of(member).rev for member in members})

    @handles(GET_SERVER_VIEW)
    async def get_server_view(self, _call: Call, params: GetServerView) -> ServerView:
        stages = [{"$match": {"server_id": params.server_id}}, _scope_of("channel:", "$_id"), *head_lookup("scope")]
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, server_scope(params.server_id))
            channels = await snapshot.aggregate("channels", stages, MAX_CHANNELS)
        if head.rev == 0:
            raise NotFound("server")
        return ServerView(rev=head.rev, channels={channel["_id"]: head_of(channel).rev for channel in channels})


def _scope_of(kind: str, field: str) -> Document:
    return {"$addFields": {"scope": {"$concat": [kind, field]}}}
