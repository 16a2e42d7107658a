"""What is true: the journal as it was committed, and whether what the processes say and do agrees with it.

Checked here: revisions are dense and in commit order; message ids as well; nothing is published or acknowledged that
is not committed; no request is committed twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import orjson

from tests.model.database import Database, Transaction
from tests.model.events import SERVER
from tests.model.world import World


@dataclass(frozen=True, slots=True)
class Committed:
    """One entry. `version` is the last commit that the snapshot saw under which it was judged."""

    scope: str
    rev: int
    event: dict[str, Any]
    perm_rev: int
    version: int

    def visible_to(self, user_id: str) -> bool:
        if self.event.get("to", "scope") in {"scope", "viewers"}:
            return True
        params = self.event["params"]
        member = params.get("member")
        return bool(user_id == (member["user"]["id"] if member else params["user_id"]))

    def is_about(self, user_id: str) -> bool:
        """Whether this user joined or left with it."""
        return self.event["name"] in {"member_added", "member_deleted"} and self.visible_to(user_id)

    @property
    def rules(self) -> bool:
        """Whether it changes a role's rules."""
        return self.event["name"] == "role_changed" and "rules" in self.event["params"]["changes"]

    @property
    def adds(self) -> str:
        """The scope of the channel that it adds, if it does."""
        return f"channel:{self.event['params']['channel']['id']}" if self.event["name"] == "channel_added" else ""


class Oracle:
    def __init__(self, world: World, database: Database) -> None:
        self._world = world
        self.entries: dict[str, list[Committed]] = defaultdict(list)
        self.tokens: dict[str, Committed] = {}
        self.channels: dict[str, int] = {}
        """Each channel's scope, and the revision of its server in which it was added."""
        self.last_commit = 0.0
        self._left: dict[str, int] = {}
        """Who has been a member, and the commit with which they last left."""
        self._database = database
        database.on_commit = self.committed

    # What the database commits.

    def committed(self, transaction: Transaction) -> None:
        self.last_commit = self._world.now
        for (collection, key), document in transaction.writes.items():
            if collection == "journal" and document is not None:
                self._append(document, transaction.version)
            if collection == "members" and document is None:
                self._left[key[-1]] = self._database.version

    def _append(self, document: dict[str, Any], version: int) -> None:
        scope, rev = document["scope"], document["rev"]
        (event,) = document["events"]
        entry = Committed(scope, rev, event, document["perm_rev"], version)
        self._world.note("journal", f"{scope}@{rev} {event['name']} {event['params'].get('token', '')}")
        if rev != self.head(scope) + 1:
            self._world.fail(f"not dense: {scope}@{rev} committed after {self.head(scope)}")
        self.entries[scope].append(entry)
        if event["name"] == "message_added":
            self._count(entry)
        if event["name"] == "channel_added":
            self.channels[f"channel:{event['params']['channel']['id']}"] = rev

    def _count(self, entry: Committed) -> None:
        token = entry.event["params"]["token"]
        if token in self.tokens:
            self._world.fail(f"committed twice: {token} at {self.tokens[token].rev} and {entry.rev} of {entry.scope}")
        self.tokens[token] = entry
        if entry.event["params"]["id"] != len(self.entries[entry.scope]):
            self._world.fail(f"message ids are not dense: {entry.event['params']} at {entry.scope}@{entry.rev}")

    # What the processes say.

    def published(self, who: str, payload: bytes) -> None:
        hint = orjson.loads(payload)
        scope, rev = hint["scope"], hint["rev"]
        if rev > self.head(scope):
            self._world.fail(f"published before it was committed: {scope}@{rev} by {who}")
        elif "events" in hint and hint["events"] != [self.entries[scope][rev - 1].event]:
            self._world.fail(f"published what was not committed: {scope}@{rev} by {who}")

    def acknowledged(self, token: str, scope: str, rev: int) -> None:
        entry = self.tokens.get(token)
        if entry is None or (entry.scope, entry.rev) != (scope, rev):
            self._world.fail(f"acknowledged, but not committed: {token} at {scope}@{rev}, it is {entry}")

    # What is there.

    def head(self, scope: str) -> int:
        entries = self.entries.get(scope)
        return entries[-1].rev if entries else 0

    def entry(self, scope: str, rev: int) -> Committed | None:
        entries = self.entries.get(scope, [])
        return entries[rev - 1] if 0 < rev <= len(entries) else None

    def next_visible(self, scope: str, after: int, user_id: str, known: Container[str] = ()) -> Committed | None:
        """The next that is due to a user; that a channel was added is not due to who knows of it already."""
        entries = self.entries.get(scope, [])
        return next((entry for entry in entries[after:] if entry.visible_to(user_id) and entry.adds not in known), None)

    def was_gone(self, user_id: str, version: int) -> bool:
        """Whether the user had left by that commit, and has not been back since."""
        return not self.is_member(user_id) and self._left.get(user_id, version + 1) <= version

    def sight_changed(self, user_id: str, after: int, up_to: int) -> Committed | None:
        """An entry of the server's that may have changed what the user sees of it."""
        entries = self.entries[f"server:{SERVER}"][after:up_to]
        return next((entry for entry in entries if entry.is_about(user_id) or entry.rules), None)

    def came_or_went(self, user_id: str, after: int) -> bool:
        """Whether the user has joined or left since that revision of the server."""
        return any(entry.is_about(user_id) for entry in self.entries[f"server:{SERVER}"][after:])

    def is_member(self, user_id: str) -> bool:
        return bool(self._database.read("members", {"user_id": user_id}))
