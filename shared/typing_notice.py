"""The hint that somebody is typing: published on the channel's subject, in no journal, and not made good when lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.scopes import Scope


@dataclass(frozen=True, slots=True)
class TypingNotice:
    """`perm_rev` is the revision of the server's scope up to which permissions must be known to judge it.

    `people`: only these may be told, where the channel is a direct one.
    """

    scope: Scope
    user_id: str
    perm_rev: int = 0
    people: Collection[str] | None = None

    def is_for(self, user_id: str) -> bool:
        return self.people is None or user_id in self.people

    def hint(self, epoch: str) -> bytes:
        notice = {"scope": self.scope.name, "within": self.scope.within, "typing": self.user_id}
        people = None if self.people is None else list(self.people)
        return orjson.dumps({**notice, "perm_rev": self.perm_rev, "people": people, "epoch": epoch})


def typing_notice(document: Mapping[str, Any]) -> TypingNotice:
    scope = Scope(document["scope"], document["within"])
    return TypingNotice(scope, document["typing"], document["perm_rev"], document["people"])
