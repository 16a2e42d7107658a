"""What coming back may cost: as much as has changed, however much is cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guildwire import Cache
from pymongo.database import Database

from tests.app import App
from tests.reads import Reads
from tests.view import View

BYTES, BYTES_A_CHANGE = 1_500, 1_200
DOCUMENTS, DOCUMENTS_A_CHANGE = 2, 10
"""One's own profile and session are always read."""


@dataclass(frozen=True)
class Absence:
    """What has happened since a cache was saved.

    `changed` counts the missed entries of all scopes. `unprovable` are the entities of scopes of which it can't be
    told any more what was missed, because the journal was pruned or the user's sight has changed: those are read anew.
    """

    changed: int
    unprovable: int

    @property
    def size(self) -> int:
        return self.changed + self.unprovable


def absence(db: Database[dict[str, Any]], cache: Cache, view: View) -> Absence:
    """Of a user who will see this view when coming back with this cache."""
    claims = cache.positions.claims()
    mine = f"self:{cache.user_id}"
    missed = {scope: _missed(db, scope, position) for scope, position in claims.items()}
    lost = {scope for scope, (amount, told) in missed.items() if len(told) < amount}
    anew = mine in lost or "server_added" in {event["name"] for entry in missed[mine][1] for event in entry["events"]}
    shown, unprovable = view.snapshot, 0
    if mine in lost:
        unprovable += 1 + len(shown["friends"])
    for server_id, members in shown["members"].items():
        if anew or f"server:{server_id}" in lost:
            unprovable += 1 + len(members) + len(shown["channels"])
    for channel_id, messages in shown["messages"].items():
        scope = f"channel:{channel_id}"
        if anew or scope in lost or scope not in claims:
            unprovable += 1 + len(messages)
    return Absence(sum(amount for amount, _ in missed.values()), unprovable)


def _missed(db: Database[dict[str, Any]], scope: str, position: int) -> tuple[int, list[dict[str, Any]]]:
    """How many entries there were after a position, and those that are still there."""
    entries = list(db.journal.find({"scope": scope, "rev": {"$gt": position}}, {"rev": 1, "events": 1}))
    return max((entry["rev"] for entry in entries), default=position) - position, entries


def assert_proportional(app: App, reads: Reads, missed: Absence) -> None:
    """Bytes and documents follow what was missed; of what did not change no message is read at all."""
    traffic = app.recording.traffic
    seen = f"{missed}, {traffic.bytes_of_news} bytes beside the echo, {dict(reads.documents)}, asked {traffic.asked}"
    assert traffic.bytes_received > 0, "nothing was counted"
    assert traffic.bytes_of_news <= BYTES + BYTES_A_CHANGE * missed.size, seen
    assert reads.of("messages") <= missed.changed + 2 * missed.unprovable, seen
    assert reads.of("messages", "users") <= DOCUMENTS + DOCUMENTS_A_CHANGE * missed.size, seen
