"""A user's public profile, as whoever may read it sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shared.acquaintance import acquainted
from shared.protocol.account import Status, User
from shared.store import Document, Store, translated

_FIELDS = ("name", "display_name", "image", "status", "status_text", "present", "rev", "deleted")
PROFILE: Document = dict.fromkeys(_FIELDS, 1)
"""The fields of a user's document that a profile is made of: a password's hash is never even read."""


def shown_status(user: Document) -> Status:
    """What acquaintances see: the user's choice, while there is a socket of theirs anywhere."""
    if not user.get("present") or user["status"] == "invisible":
        return "offline"
    status: Status = user["status"]
    return status


def profile(user: Document, reader_id: str, *, is_acquainted: bool = False) -> User:
    """One's own profile shows the status one chose; strangers see everybody offline."""
    status: Status = "offline"
    if user["_id"] == reader_id:
        status = user["status"]
    elif is_acquainted:
        status = shown_status(user)
    return User(
        id=user["_id"],
        name=user["name"],
        display_name=user["display_name"],
        image=user["image"],
        status=status,
        status_text=user["status_text"],
        rev=user["rev"],
    )


async def read_profiles(
    store: Store, user_ids: Iterable[str], reader_id: str, *, together: Collection[str] = ()
) -> list[User]:
    """The profiles of these users, in the order of their ids; who does not exist is left out.

    `together` are those of whom it is known that the reader shares something with them. Of the others it is asked, if
    they are online.
    """
    wanted = sorted(set(user_ids))
    if not wanted:
        return []
    with translated():
        users = await store["users"].find({"_id": {"$in": wanted}}, projection=PROFILE).to_list(len(wanted))
    online = {user["_id"] for user in users if shown_status(user) != "offline"}
    near = {*together, *await acquainted(store, reader_id, online - {*together, reader_id})}
    views = (profile(user, reader_id, is_acquainted=user["_id"] in near) for user in users)
    return sorted(views, key=lambda user: user.id)
