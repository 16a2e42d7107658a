"""A user's public profile, as whoever may read it sees it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.protocol.account import Status, User
from shared.store import Document, Store, translated

PROFILE: Document = {"name": 1, "display_name": 1, "image": 1, "status": 1, "status_text": 1, "rev": 1}
"""The fields of a user's document that a profile is made of: a password's hash is never even read."""


def profile(user: Document, reader_id: str) -> User:
    """One's own profile shows the status one chose; to others nobody is online until presence says so."""
    status: Status = user["status"] if user["_id"] == reader_id else "offline"
    return User(
        id=user["_id"],
        name=user["name"],
        display_name=user["display_name"],
        image=user["image"],
        status=status,
        status_text=user["status_text"],
        rev=user["rev"],
    )


async def read_profiles(store: Store, user_ids: Iterable[str], reader_id: str) -> list[User]:
    """The profiles of these users, in the order of their ids; who does not exist is left out."""
    wanted = sorted(set(user_ids))
    if not wanted:
        return []
    with translated():
        users = await store["users"].find({"_id": {"$in": wanted}}, projection=PROFILE).to_list(len(wanted))
    return sorted((profile(user, reader_id) for user in users), key=lambda user: user.id)
