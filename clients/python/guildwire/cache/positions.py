"""How far each part of each scope is, and which of them may be trusted.

A scope is loaded in parts: of `server:…` the server itself, its channels, its roles, its members. Each part came with
a reply of its own, so each is as of a revision of its own; from then on the scope's events move all that are live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Trust(Enum):
    LIVE = auto()
    """Events apply."""
    CLAIMED = auto()
    """The server has been told where it is, and has not answered yet."""
    STALE = auto()
    """Events do not apply, until it has been asked for again with `since`."""


@dataclass(slots=True)
class Part:
    """Everything up to `rev` is in it. `relist`: live, but its order is not known any more."""

    rev: int
    trust: Trust = Trust.LIVE
    relist: bool = False


class Positions:
    """`on_stale` is called when something has to be asked for again."""

    def __init__(self) -> None:
        self.on_stale: Callable[[], None] = lambda: None
        self._scopes: dict[str, dict[str, Part]] = {}
        self._heard: dict[str, int] = {}
        self._spoken: set[str] = set()

    def part(self, scope: str, name: str) -> Part | None:
        return self._scopes.get(scope, {}).get(name)

    def rev(self, scope: str) -> int | None:
        """The revision all loaded parts have come to; without any, what this connection has heard."""
        parts = self._scopes.get(scope)
        return min(part.rev for part in parts.values()) if parts else self._heard.get(scope)

    # What comes from the server.

    def begin(self, scope: str, rev: int) -> None:
        """A reply, or an event of another scope, says where this scope stands: only the first word counts."""
        self._heard.setdefault(scope, rev)

    def too_old(self, scope: str, rev: int) -> bool:
        """A reply that this connection's events have overtaken: the scope was lost and regained since it was asked."""
        return rev < self._heard.get(scope, 0)

    def heard(self, scope: str, rev: int) -> None:
        """An event came. One before the answer to a claim may be missing later: what was claimed must be asked for."""
        self._heard[scope] = max(rev, self._heard.get(scope, 0))
        self._spoken.add(scope)
        for part in self._scopes.get(scope, {}).values():
            if part.trust is Trust.CLAIMED:
                part.trust = Trust.STALE
                self.on_stale()

    def quiet_at(self, scope: str) -> int | None:
        """Where this connection began to hear the scope, if no event of it has come; else None."""
        return None if scope in self._spoken else self._heard.get(scope)

    def takes(self, scope: str, name: str, rev: int) -> bool:
        """Whether an event of this revision is news to a part."""
        part = self.part(scope, name)
        return part is not None and part.trust is Trust.LIVE and rev > part.rev

    def ends(self, scope: str, name: str, rev: int) -> bool:
        """Whether an event that ends other scopes is news, be its own stale or not.

        What is told of them on this connection ends here, even if a later reply names them again as if nothing
        had happened.
        """
        part = self.part(scope, name)
        return part is not None and (part.trust is not Trust.LIVE or rev > part.rev)

    def passed(self, scope: str, rev: int) -> None:
        """The last event of a revision has been applied."""
        for part in self._scopes.get(scope, {}).values():
            if part.trust is Trust.LIVE:
                part.rev = max(part.rev, rev)

    def load(self, scope: str, name: str, rev: int, *, relist: bool = False) -> None:
        """The part is as of `rev`, whatever it was before."""
        self.begin(scope, rev)
        self._scopes.setdefault(scope, {})[name] = Part(rev, relist=relist)

    # What is lost.

    def doubt(self, scope: str, name: str, rev: int) -> None:
        """Something in the part is only as of `rev`: it must be asked for again from there."""
        if (part := self.part(scope, name)) is not None:
            part.rev = min(part.rev, rev)
            part.trust = Trust.STALE
            self.on_stale()

    def relist(self, scope: str, name: str) -> None:
        """The part is live, but the order of what is in it is not known any more."""
        if (part := self.part(scope, name)) is not None:
            part.relist = True
            self.on_stale()

    def unload(self, scope: str, name: str) -> None:
        parts = self._scopes.get(scope, {})
        parts.pop(name, None)
        if not parts:
            self._scopes.pop(scope, None)

    def drop(self, scope: str) -> None:
        self._scopes.pop(scope, None)
        self._heard.pop(scope, None)
        self._spoken.discard(scope)

    def reset(self) -> None:
        self._scopes.clear()
        self._heard.clear()
        self._spoken.clear()

    def disconnect(self) -> None:
        """The connection is over: nothing is heard any more."""
        self._heard.clear()
        self._spoken.clear()
        for _, _, part in self:
            part.trust = Trust.STALE

    # Claims.

    def claims(self) -> dict[str, int]:
        """The position in every scope of which something is loaded."""
        return {scope: min(part.rev for part in parts.values()) for scope, parts in self._scopes.items()}

    def claim(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            for part in self._scopes.get(scope, {}).values():
                part.trust = Trust.CLAIMED

    def settle(self, scopes: Iterable[str], current: Iterable[str]) -> None:
        """The answer to a claim of these scopes: the current ones are live, the missed events follow."""
        live = set(current)
        for scope in scopes:
            for part in self._scopes.get(scope, {}).values():
                if part.trust is Trust.CLAIMED:
                    part.trust = Trust.LIVE if scope in live else Trust.STALE

    def __iter__(self) -> Iterator[tuple[str, str, Part]]:
        """Every part, as its scope, its name and itself."""
        for scope, parts in self._scopes.items():
            for name, part in parts.items():
                yield scope, name, part

    def __contains__(self, scope: object) -> bool:
        return scope in self._scopes

    def scopes(self) -> list[str]:
        return list(self._scopes)
