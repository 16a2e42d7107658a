"""In which order the revisions of one scope come over one connection: ascending, once, none missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DENSE = frozenset({"self", "channel"})
"""Kinds of scopes in which no rev may be missing, for all of it is visible. Of users, a status may be hidden."""


def kind_of(scope: str) -> str:
    return scope.partition(":")[0]


@dataclass
class Order:
    """Where one scope stands: the position a reply put it at, and the last event's rev."""

    start: int | None = None
    heard: int | None = None
    more: bool = False
    position: int | None = None

    def begin(self, rev: int) -> None:
        """A reply, or an event of another scope, names this scope's rev; only the first one counts."""
        if self.position is None and self.heard is None:
            self.start = self.position = rev

    @property
    def _before(self) -> int | None:
        return self.start if self.heard is None else self.heard

    def misses(self, rev: int) -> bool:
        """Whether something should have come before this."""
        return self._before is not None and rev > self._before + 1

    def take(self, rev: int, *, more: bool, dense: bool) -> Iterator[str]:
        """Moves on by one event of the scope; what that breaks comes out."""
        if self.heard is not None:
            if rev < self.heard:
                yield f"rev {rev} after {self.heard}"
            if rev == self.heard and not self.more:
                yield f"rev {rev} twice"
            if rev > self.heard and self.more:
                yield f"rev {rev} before the last event of {self.heard}"
        if dense and self.misses(rev):
            yield f"rev {rev} after {self._before}: missing"
        self.heard = rev
        self.more = more
        if not self.more:
            self.position = max(rev, self.position or 0)
