"""Where somebody starts to read the channels of a server: at the messages that were there when their sight began.

A member's one document says it for all channels at once. A channel that it does not name was made later, or was empty:
there reading starts at its first message.

A change by which thousands may come to see a channel can't write all their documents: it leaves a `Widening` to a
cascade. Until that is through, whoever reads counts in what is pending, so that nobody sees the difference. And whoever
changes a member's roles first settles what is pending for that member, by the roles of until then: their document says
with `settled` up to which revision of the server that was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from shared.journal import Change
from shared.rights import member_rights
from shared.store import Document, Filter, Snapshot, Upsert
from shared.widening import Widening

START_READING = "start_reading"
"""The kind of the cascade."""
MAX_PENDING = 100
"""Of one server, at once."""
_MAX_SERVERS = 200


class _Reader(Protocol):
    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]: ...


def start_reading(change: Change, server_id: str, user_ids: Iterable[str], last_ids: Mapping[str, int]) -> None:
    """These members begin to see these channels, which end at these messages in the change's own snapshot."""
    starts = {f"channels.{channel_id}": last_id for channel_id, last_id in last_ids.items() if last_id}
    for user_id in user_ids if starts else ():
        change.writes.append(Upsert("reading_starts", {"server_id": server_id, "user_id": user_id}, {"$max": starts}))


async def pending_widenings(reader: _Reader, server_ids: Iterable[str]) -> list[Widening]:
    """What has not yet been written for all members, of these servers."""
    query = {"kind": START_READING, "about.server_id": {"$in": sorted(server_ids)}}
    found = await reader.find("cascades", query, _MAX_SERVERS * MAX_PENDING, projection={"about": 1})
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
    """By channel id."""
    within = sorted(server_ids)
    query: Filter = {"server_id": {"$in": within}, "user_id": user_id}
    found = await snapshot.find("reading_starts", query, _MAX_SERVERS)
    starts = {channel_id: last_id for document in found for channel_id, last_id in document["channels"].items()}
    pending = await pending_widenings(snapshot, within)
    for member in await snapshot.find("members", query, _MAX_SERVERS) if pending else []:
        for channel_id, last_id in pending_starts(pending, member).items():
            starts[channel_id] = max(last_id, starts.get(channel_id, 0))
    return starts
