"""Where somebody starts to read the channels of a server: at the messages that were there when their sight began.

A member's one document says it for all channels at once. A channel that it does not name was made later, or was empty:
there reading starts at its first message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.journal import Change
from shared.store import Snapshot, Upsert

_MAX_SERVERS = 200


def start_reading(change: Change, server_id: str, user_ids: Iterable[str], last_ids: Mapping[str, int]) -> None:
    """These members begin to see these channels, which end at these messages in the change's own snapshot."""
    starts = {f"channels.{channel_id}": last_id for channel_id, last_id in last_ids.items() if last_id}
    for user_id in user_ids if starts else ():
        change.writes.append(Upsert("reading_starts", {"server_id": server_id, "user_id": user_id}, {"$max": starts}))


async def reading_starts(snapshot: Snapshot, user_id: str, server_ids: Iterable[str]) -> dict[str, int]:
    """By channel id."""
    query = {"server_id": {"$in": sorted(server_ids)}, "user_id": user_id}
    found = await snapshot.find("reading_starts", query, _MAX_SERVERS)
    return {channel_id: last_id for document in found for channel_id, last_id in document["channels"].items()}
