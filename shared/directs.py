"""Which direct channels are open to a user, read within a snapshot."""

from __future__ import annotations

from shared.journal.reader import head_lookup
from shared.store import Document, Snapshot

MAX_OPEN = 500
"""Direct channels that a user may have open."""


async def open_directs(snapshot: Snapshot, user_id: str) -> list[Document]:
    """Their documents, each with the head of its scope (`head_of`), in the order of their ids."""
    stages: list[Document] = [
        {"$match": opened(user_id)},
        {"$sort": {"_id": 1}},
        {"$addFields": {"scope": {"$concat": ["channel:", "$_id"]}}},
    ]
    return await snapshot.aggregate("directs", [*stages, *head_lookup("scope")], MAX_OPEN)


def opened(user_id: str) -> Document:
    return {"users": user_id, f"open.{user_id}": {"$exists": True}}
