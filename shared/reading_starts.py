"""Where somebody starts to read the channels of a server: at the messages that were there when their sight began.

A member's one document says it for all channels at once. A channel that it does not name was made later, or was empty:
there reading starts at its first message.

A change by which thousands may come to see a channel can't write all their documents: it leaves a `Widening` to a
cascade. Until that is through, whoever reads counts in what is pending, so that nobody sees the difference. The heavier
that is, the more it costs them: so a server may have only so much of it. And whoever changes a member's roles first
settles what is pending for that member, by the roles of until then: their document says with `settled` up to which
revision of the server that was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from shared.journal import Change
from shared.rights import member_rights
from shared.store import Document, Filter, Snapshot
from shared.widening import Widening
from shared.writes import Upsert

START_READING = "start_reading"
"""The kind of the cascade."""
MAX_PENDING = 100
"""Of one server, at once."""
MAX_PENDING_BYTES = 512 * 1024
"""With as much pending, a server gets no more of it: at most this and one widening, of which the largest has 368 KB."""
_MAX_SERVERS = 200


class _Reader(Protocol):
    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]: ...
    async def aggregate(self, collection: str, stages: list[Document], limit: int) -> list[Document]: ...


def start_reading(change: Change, server_id: str, user_ids: Iterable[str], last_ids: Mapping[str, int]) -> None:
    """These members begin to see these channels, which end at these messages in the change's own snapshot."""
    starts = {f"channels.{channel_id}": last_id for channel_id, last_id in last_ids.items() if last_id}
    for user_id in user_ids if starts else ():
        change.writes.append(Upsert("reading_starts", {"server_id": server_id, "user_id": user_id}, {"$max": starts}))


async def has_room(reader: _Reader, server_id: str) -> bool:
    """Whether readers of this server can reckon with one widening more, however large."""
    sums: Document = {"_id": None, "number": {"$sum": 1}, "bytes": {"$sum": {"$bsonSize": "$about"}}}
    stages: list[Document] = [{"$match": {"kind": START_READING, "about.server_id": server_id}}, {"$group": sums}]
    found = await reader.aggregate("cascades", stages, 1)
    return all(each["number"] < MAX_PENDING and each["bytes"] < MAX_PENDING_BYTES for each in found)


async def pending_widenings(reader: _Reader, server_id: str, settled: int = 0) -> list[Widening]:
    """What has not yet been written for all members of this server; only what came after it was settled."""
    query = {"kind": START_READING, "about.server_id": server_id, "about.rev": {"$gt": settled}}
    found = await reader.find("cascades", query, MAX_PENDING, projection={"about": 1})
    return [Widening.of(document["about"]) for document in found]


def pending_starts(pending: Iterable[Widening], member: Document) -> dict[str, int]:
    """What of it is to be written for this member."""
    starts: dict[str, int] = {}
    for widening in pending:
        if widening.server_id == member["server_id"] and widening.rev > member.get("settled", 0):
            for channel_id, last_id in widening.seen_anew(member_rights(member)).items():
                starts[channel_id] = max(last_id, starts.get(channel_id, 0))
    return starts


async def reading_starts(snapshot: Snapshot, user_id: str, server_ids: Iterable[str]) -> dict[str, int]:
    """By channel id.

    What is pending is read for one server after the other: the process does other things in between, and has never
    more in memory than one server may have pending.
    """
    within = sorted(server_ids)
    query: Filter = {"server_id": {"$in": within}, "user_id": user_id}
    found = await snapshot.find("reading_starts", query, _MAX_SERVERS)
    starts = {channel_id: last_id for document in found for channel_id, last_id in document["channels"].items()}
    for member in await _with_pending(snapshot, user_id, within):
        pending = await pending_widenings(snapshot, member["server_id"], member.get("settled", 0))
        for channel_id, last_id in pending_starts(pending, member).items():
            starts[channel_id] = max(last_id, starts.get(channel_id, 0))
    return starts


async def _with_pending(snapshot: Snapshot, user_id: str, server_ids: list[str]) -> list[Document]:
    """The user as a member of those of the servers where anything is pending: an index alone tells which."""
    stages: list[Document] = [
        {"$match": {"kind": START_READING, "about.server_id": {"$in": server_ids}}},
        {"$group": {"_id": "$about.server_id"}},
    ]
    found = [server["_id"] for server in await snapshot.aggregate("cascades", stages, _MAX_SERVERS)]
    query: Filter = {"server_id": {"$in": found}, "user_id": user_id}
    return await snapshot.find("members", query, _MAX_SERVERS) if found else []
