"""How two users stand to each other, for whoever must ask before one may reach the other.

Each side has a row of its own in `friends`, `{user_id, other_id, state, rev}`, and both change in one transaction. Only
who is blocked may lack the row that says so, when their list is full: so whether somebody blocks is always decided by
the row of who does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from shared.store import Document, Filter


class Reader(Protocol):
    """A snapshot, or a change that reads."""

    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]: ...


@dataclass(frozen=True, slots=True)
class Friendship:
    """The rows of both sides, where there are any."""

    mine: Document | None
    theirs: Document | None

    @property
    def my_state(self) -> str | None:
        return self.mine["state"] if self.mine else None

    @property
    def their_state(self) -> str | None:
        return self.theirs["state"] if self.theirs else None

    @property
    def is_friend(self) -> bool:
        return self.my_state == "friend"

    @property
    def is_blocked(self) -> bool:
        """Whether either blocks the other."""
        return "blocked" in {self.my_state, self.their_state}


async def friendship(reader: Reader, my_id: str, other_id: str) -> Friendship:
    sides: Filter = {"$or": [_row(my_id, other_id), _row(other_id, my_id)]}
    rows = {row["user_id"]: row for row in await reader.find("friends", sides, 2)}
    return Friendship(rows.get(my_id), rows.get(other_id))


async def share_a_server(reader: Reader, my_id: str, other_id: str, most: int = 200) -> bool:
    """Whether both are members of some server; nobody is in more than `most`."""
    mine = await reader.find("members", {"user_id": my_id}, most)
    shared: Filter = {"server_id": {"$in": [member["server_id"] for member in mine]}, "user_id": other_id}
    return bool(mine and await reader.find("members", shared, 1))


def pair_key(one: str, other: str) -> str:
    """What names two users together, whichever comes first."""
    return ":".join(sorted((one, other)))


def _row(user_id: str, other_id: str) -> Filter:
    return {"user_id": user_id, "other_id": other_id}
