"""Whom one may write to: friends, and people with whom one shares a server."""

from __future__ import annotations

from shared.errors import Forbidden, NotFound
from shared.journal import Change
from shared.store import Store, translated

_MAX_SERVERS = 200


async def must_be_acquainted(store: Store, user_id: str, others: list[str]) -> None:
    """Raises NotFound for who does not exist, Forbidden for who is neither a friend nor in a server with the user."""
    with translated():
        users = await store["users"].find({"_id": {"$in": others}}, {"_id": 1}).to_list(len(others))
        if len(users) < len(others):
            raise NotFound("user")
        friendly = {"user_id": user_id, "other_id": {"$in": others}, "state": "friend"}
        friends = await store["friends"].find(friendly, {"other_id": 1}).to_list(len(others))
        strangers = sorted(set(others) - {friend["other_id"] for friend in friends})
        if not strangers:
            return
        members = await store["members"].find({"user_id": user_id}, {"server_id": 1}).to_list(_MAX_SERVERS)
        shared = {"server_id": {"$in": [member["server_id"] for member in members]}, "user_id": {"$in": strangers}}
        met = await store["members"].distinct("user_id", shared)
    if len(met) < len(strangers):
        raise Forbidden("You can write to friends, and to people with whom you share a server.")


async def settled_blockers(change: Change, pair: list[str]) -> list[str]:
    """Who of the two blocks the other. It stays so until the change is made: a block writes the same documents."""
    change.update_all("users", {"_id": {"$in": pair}}, {"$inc": {"directs": 1}})
    query = {"user_id": {"$in": pair}, "other_id": {"$in": pair}, "state": "blocked"}
    return sorted(each["user_id"] for each in await change.find("friends", query, 2))
