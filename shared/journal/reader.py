"""Reading the journal: heads of many scopes at once, and the entries that somebody missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.journal.entry import Entry, Head, Lookup, from_document
from shared.scopes import Scope
from shared.store import Document, Snapshot, Store, translated

_ENTRIES_BYTES = 512 << 10
DELTA_LIMIT = 100
_SURELY_WITHIN_MS = 2_000


def head_lookup(local_field: str) -> list[Document]:
    """Stages that add the newest entry's `rev` and `last_id` as `head`.

    One index key per scope: `$in` with `$group` would walk the whole history of each.
    """
    newest: list[Document] = [{"$sort": {"rev": -1}}, {"$limit": 1}, {"$project": {"_id": 0, "rev": 1, "last_id": 1}}]
    lookup = {"from": "journal", "localField": local_field, "foreignField": "scope", "pipeline": newest, "as": "head"}
    return [{"$lookup": lookup}]


def head_of(document: Document) -> Head:
    """The head in a document that came through `head_lookup`."""
    newest: list[Document] = document["head"]
    return Head(newest[0]["rev"], newest[0].get("last_id", 0)) if newest else Head()


async def read_heads(store: Store, scopes: Sequence[str]) -> dict[str, Head]:
    if not scopes:
        return {}
    names: list[Document] = [{"scope": scope} for scope in scopes]
    found = await store.documents(names, head_lookup("scope"))
    return {document["scope"]: head_of(document) for document in found}


async def head_last_written(store: Store, scope: str) -> int:
    """The scope's last revision, by a majority that has all that was written before."""
    with translated():
        newest = await store.linearizable("journal").find_one(
            {"scope": scope}, sort=[("rev", -1)], projection=_HEAD, max_time_ms=_SURELY_WITHIN_MS
        )
    return int(newest["rev"]) if newest else 0


async def look_up(store: Store, wanted: Sequence[Lookup]) -> dict[Lookup, Document | None]:
    """The documents that appends read: one query for each collection."""
    found: dict[Lookup, Document | None] = dict.fromkeys(wanted)
    for collection in {lookup.collection for lookup in found}:
        lookups = {lookup.key: lookup for lookup in found if lookup.collection == collection}
        names = [name for name, _ in next(iter(lookups))]
        with translated():
            cursor = store[collection].find({"$or": [lookup.filter for lookup in lookups.values()]})
            documents = await cursor.to_list(len(lookups))
        for document in documents:
            found[lookups[tuple((name, document[name]) for name in names)]] = document
    return found


async def head_within(snapshot: Snapshot, scope: Scope) -> Head:
    """The head as the snapshot has it."""
    newest = await snapshot.find_one("journal", {"scope": scope.name}, sort=[("rev", -1)], projection=_HEAD)
    return Head(newest["rev"], newest.get("last_id", 0)) if newest else Head()


async def changes_since(snapshot: Snapshot, scope: Scope, since: int, head: Head) -> list[Entry] | None:
    """Every entry after `since`, up to the snapshot's head; None when they cannot be proved to be all, or are many.

    A scope that is made together with what is in it (a server, a user) has no events of its first revision: there a
    `since` of 0 must be answered in full.
    """
    if since > head.rev or head.rev - since > DELTA_LIMIT:
        return None
    if since == head.rev:
        return []
    query: Document = {"scope": scope.name, "rev": {"$gt": since, "$lte": head.rev}}
    documents = await snapshot.find("journal", query, DELTA_LIMIT, sort=[("rev", 1)])
    if len(documents) < head.rev - since:
        return None  # pruned
    return [entry for entry in map(from_document, documents) if isinstance(entry, Entry)]


async def read_entries(store: Store, scope: str, after: int, limit: int) -> list[dict[str, Any]]:
    """Entries after a revision, in order, as hints carry them; cut at 512 KiB but never empty when there are any."""
    with translated():
        cursor = store["journal"].find({"scope": scope, "rev": {"$gt": after}}, sort=[("rev", 1)], limit=limit)
        documents = await cursor.to_list(limit)
    entries: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        entry = from_document(document)
        assert isinstance(entry, Entry)  # noqa: S101 - what the journal holds has events
        size += len(entry.hint())
        if entries and size > _ENTRIES_BYTES:
            break
        entries.append(entry.document())
    return entries


_HEAD: Document = {"_id": 0, "rev": 1, "last_id": 1}
