"""What the services read from MongoDB, by its own profiler: their clients and caches can't make it look smaller."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

from pymongo.database import Database

ROOM = 64 << 20
"""Bytes of profile. Without them the first reads of a large cache would be forgotten again."""


class Reads:
    """Used as a context; then `documents` says how many were looked at, by collection.

    `journal` are entries and heads that were asked for as such. The heads of many scopes at once, which gateways also
    compare in the background, are counted apart, as `heads`.
    """

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._db = db
        self.documents: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        """How many there were, by the service that asked."""
        self.heads = 0

    def __enter__(self) -> Self:
        self._db.command("profile", 0)
        self._db.drop_collection("system.profile")
        self._db.create_collection("system.profile", capped=True, size=ROOM)
        self._db.command("profile", 2)
        return self

    def __exit__(self, *_: object) -> None:
        self._db.command("profile", 0)
        for op in self._db["system.profile"].find({"op": {"$in": ["query", "command", "getmore"]}}):
            collection = op["ns"].partition(".")[2]
            self.queries[op.get("appName", "").partition("-")[0]] += 1
            if collection == "$cmd.aggregate":
                self.heads += op.get("docsExamined", 0)
            elif op.get("appName", "").startswith(("guilds", "messages", "presence")):
                self.documents[collection] += op.get("docsExamined", 0)
        self._db.drop_collection("system.profile")

    def of(self, *collections: str) -> int:
        return sum(self.documents[collection] for collection in collections)
