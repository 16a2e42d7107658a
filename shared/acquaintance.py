"""Who may see whose status: friends, and those who share a server or a direct channel that both have open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shared.directs import MAX_OPEN, opened
from shared.friendship import Reader, share_a_server
from shared.journal import Requirement
from shared.store import Document, Filter, Store, translated

_MAX_FRIENDS = 1000
_MAX_SERVERS = 200

CIRCLE = ("joins", "friendships", "directs")
"""Counters in a user's document: each is raised by whatever changes with whom they are acquainted in that way."""


async def acquaintances(reader: Reader, user_id: str) -> dict[str, Any]:
    """To whom the user's status is shown at this moment: who is in one of the `servers`, or is of the `users`.

    Each server with its `perm_rev`: who is in it must be known as of then, or who was removed just before is told too.
    """
    rows = await reader.find("members", {"user_id": user_id}, _MAX_SERVERS, projection={"server_id": 1})
    among: Filter = {"_id": {"$in": [row["server_id"] for row in rows]}}
    servers = await reader.find("servers", among, _MAX_SERVERS, projection={"perm_rev": 1})
    friendly: Filter = {"user_id": user_id, "state": "friend"}
    friends = await reader.find("friends", friendly, _MAX_FRIENDS, projection={"other_id": 1})
    directs = await reader.find("directs", opened(user_id), MAX_OPEN, projection={"_id": 0, "users": 1, "open": 1})
    users = {friend["other_id"] for friend in friends} | {each for direct in directs for each in direct["open"]}
    return {"servers": {server["_id"]: server["perm_rev"] for server in servers}, "users": sorted(users - {user_id})}


def same_circle(user: Document) -> Filter:
    """Matches the user while nobody has come into its circle or gone out of it, but by a server's removals."""
    return {name: user.get(name) for name in CIRCLE}


def still_in(facts: Mapping[str, Any]) -> list[Requirement]:
    """Nobody has been removed from the servers of these acquaintances since."""
    return [Requirement("servers", {"_id": each, "perm_rev": rev}) for each, rev in facts.get("servers", {}).items()]


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
