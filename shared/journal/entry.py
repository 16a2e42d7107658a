"""What a journal entry is: in MongoDB, as a hint on NATS, and in a gateway's memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.protocol.contract import Audience, Event
from shared.scopes import Scope
from shared.typing_notice import TypingNotice, typing_notice

VERSION = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from: the ids written into the entry, the deadline, and the nonce's key if one was sent."""

    by: Mapping[str, str]
    deadline: float
    """On this process's monotonic clock."""
    nonce: str = ""

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self.deadline


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision of one scope. An entry without events still counts: revisions are dense.

    `events` are `{name, params, to?, own?, users?, facts?}`: `to` narrows the audience; `own` is `{user_id, params}`,
    laid over the params for that user alone; `users` are the whole users in it, with their revisions; `facts` are
    what gateways judge it by, `facts.shown` params laid over for acquaintances alone, `facts.servers` where those are,
    with a `perm_rev` each. `last_id` is the channel's last message id as of this entry; `perm_rev` the revision of the
    server's scope up to which permissions must be known to judge it.
    """

    scope: Scope
    rev: int
    events: list[dict[str, Any]]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    by: Mapping[str, str] = field(default_factory=dict)
    last_id: int = 0
    perm_rev: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "scope": self.scope.name,
            "within": self.scope.within,
            "rev": self.rev,
            "v": VERSION,
            "events": self.events,
            "at": self.at,
            "by": dict(self.by),
            "last_id": self.last_id,
            "perm_rev": self.perm_rev,
        }

    def hint(self, epoch: str = "") -> bytes:
        return orjson.dumps({**self.document(), "epoch": epoch})


@dataclass(frozen=True, slots=True)
class Lookup:
    """One document, named by a unique key: `Lookup("messages", (("channel_id", …), ("id", 3)))`."""

    collection: str
    key: tuple[tuple[str, str | int], ...]

    @property
    def filter(self) -> dict[str, Any]:
        return dict(self.key)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a scope stands. `rev` 0: it never had an entry.

    `entry_id` is in the journal the id of its entry, known of a remembered head. `documents` are those that an append
    `reads`, as they are just before it; None for one that does not exist.
    """

    rev: int = 0
    last_id: int = 0
    entry_id: Any = field(default=None, compare=False)
    documents: Mapping[Lookup, dict[str, Any] | None] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class HeadNotice:
    """A hint that says only how far a scope has come."""

    scope: Scope
    rev: int

    def hint(self, epoch: str = "") -> bytes:
        notice = {"scope": self.scope.name, "within": self.scope.within, "rev": self.rev, "v": VERSION, "epoch": epoch}
        return orjson.dumps(notice)


def parse_hint(payload: bytes) -> tuple[Entry | HeadNotice | TypingNotice, str]:
    """The hint and its epoch. Reads what is known and ignores the rest, so that versions can run side by side.

    Raises ValueError, KeyError or TypeError on nonsense.
    """
    document = orjson.loads(payload)
    hint = typing_notice(document) if "typing" in document else from_document(document)
    return hint, document.get("epoch", "")


def from_document(document: Mapping[str, Any]) -> Entry | HeadNotice:
    scope = Scope(document["scope"], document.get("within", ""))
    if "events" not in document:
        return HeadNotice(scope, document["rev"])
    at = document["at"]
    return Entry(
        scope=scope,
        rev=document["rev"],
        events=document["events"],
        at=datetime.fromisoformat(at) if isinstance(at, str) else at,
        by=document.get("by", {}),
        last_id=document.get("last_id", 0),
        perm_rev=document.get("perm_rev", 0),
    )


def recorded(event: Event, own: Mapping[str, Any] | None = None, audience: Audience | None = None) -> dict[str, Any]:
    """An event as an entry keeps it; `audience` where it is another than that of all such events."""
    record: dict[str, Any] = {"name": event.name, "params": event.model_dump(mode="json")}
    if (audience or event.audience) is not Audience.SCOPE:
        record["to"] = (audience or event.audience).value
    if users := event.users():
        record["users"] = users
    if event.facts:
        record["facts"] = event.facts
    if own:
        record["own"] = dict(own)
    return record


def events_of(entries: Iterable[Entry], *names: str) -> list[dict[str, Any]]:
    """All events of these names, in order."""
    return [event for entry in entries for event in entry.events if event["name"] in names]


def happened(entries: Iterable[Entry], *names: str) -> list[dict[str, Any]]:
    """Their params."""
    return [event["params"] for event in events_of(entries, *names)]


def without_deleted(entries: Sequence[Entry]) -> list[Entry]:
    """The same entries, without what they say of messages that are deleted further on: nobody is told of those late.

    The deletions stay, and so do the revisions.
    """
    gone = {params["message_id"] for params in happened(entries, "message_deleted")}
    if not gone:
        return list(entries)

    def stays(event: dict[str, Any]) -> bool:
        match event["name"]:
            case "message_added":
                return event["params"]["message"]["id"] not in gone
            case "message_changed":
                return event["params"]["message_id"] not in gone
            case _:
                return True

    return [replace(entry, events=[event for event in entry.events if stays(event)]) for entry in entries]
