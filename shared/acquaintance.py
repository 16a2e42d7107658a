"""Who may see whose status: friends, and those who share a server or a direct channel that both have open."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.directs import MAX_OPEN, opened
from shared.friendship import Reader, share_a_server
from shared.store import Document, Filter, Store, translated

_MAX_FRIENDS = 1000
_MAX_SERVERS = 200


async def acquaintances(store: Store, user_id: str) -> dict[str, Any]:
    """To whom the user's status is shown at this moment: who is in one of the `servers`, or is of the `users`.

    Each server with its `perm_rev`: who is in it must be known as of then, or who was removed just before is told too.
    """
    among: Filter = {"_id": {"$in": await _servers_of(store, user_id)}}
    friendly: Filter = {"user_id": user_id, "state": "friend"}
    fields: Document = {"_id": 0, "users": 1, "open": 1}
    with translated():
        servers = await store["servers"].find(among, {"perm_rev": 1}).to_list(_MAX_SERVERS)
        friends = await store["friends"].find(friendly, {"other_id": 1}).to_list(_MAX_FRIENDS)
        directs = await store["directs"].find(opened(user_id), fields).to_list(MAX_OPEN)
    users = {friend["other_id"] for friend in friends} | {each for direct in directs for each in direct["open"]}
    return {"servers": {server["_id"]: server["perm_rev"] for server in servers}, "users": sorted(users - {user_id})}


async def acquainted(store: Store, reader_id: str, others: Collection[str]) -> set[str]:
    """Those of the others whose status the reader may see."""
    if not others:
        return set()
    among: Filter = {"$in": sorted(others)}
    with translated():
        friendly: Filter = {"user_id": reader_id, "other_id": among, "state": "friend"}
        rows = await store["friends"].find(friendly, {"other_id": 1}).to_list(len(others))
        found = {row["other_id"] for row in rows}
        if found.issuperset(others):
            return found
        together: Filter = {"server_id": {"$in": await _servers_of(store, reader_id)}, "user_id": among}
        found |= set(await store["members"].distinct("user_id", together))
        if found.issuperset(others):
            return found
        directs = await store["directs"].find(opened(reader_id), {"open": 1}).to_list(MAX_OPEN)
    return found | ({each for direct in directs for each in direct["open"]} & set(others))


async def have_met(reader: Reader, one: str, other: str) -> bool:
    """Whether two share a server or a direct channel, as a snapshot or a change reads it."""
    if await share_a_server(reader, one, other):
        return True
    both: Filter = {"users": one, f"open.{one}": {"$exists": True}, f"open.{other}": {"$exists": True}}
    return bool(await reader.find("directs", both, 1))


async def _servers_of(store: Store, user_id: str) -> list[str]:
    with translated():
        rows = await store["members"].find({"user_id": user_id}, {"server_id": 1}).to_list(_MAX_SERVERS)
    return sorted(row["server_id"] for row in rows)
