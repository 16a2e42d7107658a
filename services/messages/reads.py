"""How far everybody has read. Where somebody has read nothing yet, reading starts where their sight began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.messages.direct_sight import DirectSight
from services.messages.mentions import EVERYONE
from services.messages.sights import Sights
from shared.directs import open_directs
from shared.errors import Conflict, LostRace, NotFound
from shared.journal import Append, Head, Lookup, Written
from shared.journal.reader import head_lookup, head_of, head_within, read_heads
from shared.protocol.read import (
    GET_READ_STATES,
    UPDATE_READ_STATE,
    GetReadStates,
    ReadChanged,
    ReadState,
    ReadStates,
    UpdateReadState,
)
from shared.reading_starts import reading_starts
from shared.rights import Sight
from shared.scopes import self_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Snapshot, Store
from shared.visible import visible_channels
from shared.writes import Upsert

MOST_MENTIONS = 1_000
_REPLY_BYTES = 480 << 10
_STATE_BYTES = 170


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is in a channel that ends at `last_id`."""

    channel_id: str
    server_id: str
    read_id: int
    last_id: int


class Reads:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._sights = Sights(parts)

    @handles(GET_READ_STATES)
    async def get_read_states(self, call: Call, params: GetReadStates) -> ReadStates:
        mine = self_scope(call.user_id)
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, mine)
            places = await _server_places(snapshot, call.user_id, params.server_id)
            if params.server_id is None:
                places += await _direct_places(snapshot, call.user_id)
            if len(places) * _STATE_BYTES > _REPLY_BYTES:
                raise Conflict("You see too many channels for one reply: ask for each server by its id.")
            places = await _as_read(snapshot, call.user_id, places)
        call.holds(mine.name, head.rev)
        mentions = await count_mentions(self._store, call.user_id, places)
        return ReadStates(rev=head.rev, read_states=[_state(place, mentions) for place in places])

    @handles(UPDATE_READ_STATE)
    async def update_read_state(self, call: Call, params: UpdateReadState) -> ReadState:
        sight = await self._sights.of(call, params.channel_id)
        last_id = (await read_heads(self._store, [sight.scope.name]))[sight.scope.name].last_id
        async with self._store.snapshot() as snapshot:
            place = Place(sight.channel_id, sight.server_id, await self._start(snapshot, call, sight), last_id)
            (place,) = await _as_read(snapshot, call.user_id, [place])
        wanted = replace(place, read_id=min(params.message_id, last_id))
        if wanted.read_id <= place.read_id:
            return _state(place, await count_mentions(self._store, call.user_id, [place]))
        mentions = await count_mentions(self._store, call.user_id, [wanted])
        row = Lookup("reads", (("user_id", call.user_id), ("channel_id", sight.channel_id)))

        def write(head: Head) -> Written[ReadState]:
            known = head.documents[row]
            if known is not None and known["read_id"] >= wanted.read_id:
                raise LostRace
            state = _state(wanted, mentions)
            event = ReadChanged(channel_id=state.channel_id, read_id=state.read_id, mentions=state.mentions)
            writes = [has_read(call.user_id, sight.channel_id, wanted.read_id)]
            return Written(event, writes, state, 0, leaves={row: {**row.filter, "read_id": wanted.read_id}})

        append = Append(self_scope(call.user_id), write, requires=[sight.still_as_judged], reads=[row])
        return call.appended(await self._journal.append(call.origin, append))

    async def _start(self, snapshot: Snapshot, call: Call, sight: Sight) -> int:
        if isinstance(sight, DirectSight):
            start: int = sight.direct["open"][call.user_id]["start"]
            return start
        starts = await reading_starts(snapshot, call.user_id, [sight.server_id])
        return starts.get(sight.channel_id, 0)


def has_read(user_id: str, channel_id: str, message_id: int) -> Upsert:
    """Never moves backwards."""
    return Upsert("reads", {"user_id": user_id, "channel_id": channel_id}, {"$max": {"read_id": message_id}})


async def count_mentions(store: Store, user_id: str, places: Iterable[Place]) -> dict[str, int]:
    """How many messages name the user in what they have not read, by channel: one aggregation, by one index.

    None that came after `last_id`, of which clients are told by its event.
    """
    unread: list[Document] = [
        {"channel_id": place.channel_id, "read_id": place.read_id, "last_id": place.last_id}
        for place in places
        if place.read_id < place.last_id
    ]
    if not unread:
        return {}
    between = {"$and": [{"$gt": ["$id", "$$read_id"]}, {"$lte": ["$id", "$$last_id"]}]}
    named = {"names": {"$in": [user_id, EVERYONE]}, "$expr": between}
    lookup = {
        "from": "messages",
        "localField": "channel_id",
        "foreignField": "channel_id",
        "let": {"read_id": "$read_id", "last_id": "$last_id"},
        "pipeline": [{"$match": named}, {"$limit": MOST_MENTIONS}, {"$count": "number"}],
        "as": "mentions",
    }
    found = await store.documents(unread, [{"$lookup": lookup}])
    return {each["channel_id"]: each["mentions"][0]["number"] for each in found if each["mentions"]}


async def _server_places(snapshot: Snapshot, user_id: str, server_id: str | None) -> list[Place]:
    """Every channel of servers that the user sees, as if nothing were read since their sight began."""
    servers, seen = await visible_channels(snapshot, user_id, server_id)
    if server_id is not None and not servers:
        raise NotFound("server")
    starts = await reading_starts(snapshot, user_id, servers)
    within = {channel.id: channel.server_id for channel in seen}
    stages: list[Document] = [
        {"$match": {"_id": {"$in": sorted(within)}}},
        {"$project": {"scope": {"$concat": ["channel:", "$_id"]}}},
        *head_lookup("scope"),
    ]
    found = await snapshot.aggregate("channels", stages, len(within)) if within else []
    heads = {each["_id"]: head_of(each) for each in found}
    return [
        Place(channel_id, within[channel_id], starts.get(channel_id, 0), head.last_id)
        for channel_id, head in heads.items()
    ]


async def _direct_places(snapshot: Snapshot, user_id: str) -> list[Place]:
    directs = await open_directs(snapshot, user_id)
    return [Place(each["_id"], "", each["open"][user_id]["start"], head_of(each).last_id) for each in directs]


async def _as_read(snapshot: Snapshot, user_id: str, places: list[Place]) -> list[Place]:
    """The same places, as far as the user has read since."""
    query = {"user_id": user_id, "channel_id": {"$in": [place.channel_id for place in places]}}
    rows = await snapshot.find("reads", query, len(places)) if places else []
    read = {row["channel_id"]: row["read_id"] for row in rows}
    return [replace(place, read_id=max(place.read_id, read.get(place.channel_id, 0))) for place in places]


def _state(place: Place, mentions: dict[str, int]) -> ReadState:
    return ReadState(
        channel_id=place.channel_id,
        server_id=place.server_id or None,
        read_id=place.read_id,
        last_message_id=place.last_id,
        mentions=mentions.get(place.channel_id, 0),
    )
