"""What a process may believe about the heads of scopes, and whose turn it is to commit to them. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice

from shared.journal.entry import Head
from shared.scopes import Scope


class HeadCache:
    """Heads known from this process's own commits.

    A head advances only on a confirmed commit, and after any failure it is forgotten and read again: the unique
    index alone would accept revision 9 after 2. And it would accept 3 after 2 once more when 3 is pruned: who remembers
    a head must make sure that its entry is still there.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heads: OrderedDict[str, Head] = OrderedDict()

    def known(self, scopes: Iterable[Scope]) -> dict[Scope, Head]:
        """Of these scopes the remembered ones."""
        known = {scope: head for scope in scopes if (head := self._heads.get(scope.name)) is not None}
        for scope in known:
            self._heads.move_to_end(scope.name)
        return known

    def confirmed(self, scope: Scope, head: Head) -> None:
        self._heads[scope.name] = head
        self._heads.move_to_end(scope.name)
        while len(self._heads) > self._limit:
            self._heads.popitem(last=False)

    def newest(self, amount: int) -> dict[str, int]:
        """The revisions of the scopes used last."""
        return {name: self._heads[name].rev for name in islice(reversed(self._heads), amount)}

    def forget_all(self) -> None:
        self._heads.clear()

    def doubt(self, scopes: Iterable[Scope]) -> None:
        for scope in scopes:
            self._heads.pop(scope.name, None)


class Turns:
    """One commit in flight per scope in this process. Locks are taken in the order of names, so none wait in a ring."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: dict[str, int] = {}

    @asynccontextmanager
    async def of(self, scopes: Iterable[Scope]) -> AsyncIterator[None]:
        taken: list[asyncio.Lock] = []
        names = sorted({scope.name for scope in scopes})
        for name in names:
            self._wanted[name] = self._wanted.get(name, 0) + 1
        try:
            for name in names:
                lock = self._locks.setdefault(name, asyncio.Lock())
                await lock.acquire()
                taken.append(lock)
            yield
        finally:
            for lock in reversed(taken):
                lock.release()
            for name in names:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name]
                    self._locks.pop(name, None)
