"""Starts a service that is struck by a signal at a named step of a commit: `python -m tests.faults.crashing <service>`.

The service is the real one; only the methods between two steps are wrapped. The test dooms a scope at a step, in a
directory that it shares with the processes through the variable DOOMS; whichever process comes first to that step of
a commit to that scope, and is not among the spared, says so there and sends itself the signal, by default SIGKILL.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from shared.journal import Entry, Journal
from shared.journal.publisher import Hint, Publisher
from shared.service import run_service
from shared.store import Transaction

UNCOMMITTED = ("before-insert", "after-insert", "after-writes", "after-outbox")
"""Before the transaction's first statement, and inside it."""

UNKNOWN = ("during-commit",)
"""The commit has been sent, or is about to be; nobody knows whether it happened."""

COMMITTED = ("after-commit", "between-hints", "after-publish", "after-flush", "before-clear")
"""Nothing said yet; one of several hints said; hints handed over; hints out; and acknowledged, with the outbox full."""

STEPS = UNCOMMITTED + UNKNOWN + COMMITTED


@dataclass(frozen=True)
class Blow:
    """A process was struck, at `at` on the monotonic clock; `entries` are scope, rev and request of what it wrote."""

    step: str
    name: str
    at: float
    entries: list[tuple[str, int, str]]


class Dooms:
    """A directory with a file for each doomed scope, and one for each blow."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def lay(self, scope: str, step: str, signum: signal.Signals = signal.SIGKILL, spared: Sequence[str] = ()) -> None:
        """Dooms the next commit to this scope that comes to this step in a process not spared."""
        self._blow(scope).unlink(missing_ok=True)
        self._write(self._directory / scope, " ".join([step, str(int(signum)), *spared]))

    def lift(self, scope: str) -> bool:
        """Takes the doom back; False when it has been carried out already, or is about to be."""
        try:
            (self._directory / scope).unlink()
        except FileNotFoundError:
            return False
        return True

    def lift_all(self) -> None:
        for doom in self._directory.iterdir():
            if doom.suffix != ".blow":
                doom.unlink(missing_ok=True)

    def blow(self, scope: str) -> Blow | None:
        """What became of the doom laid last on this scope."""
        try:
            return Blow(**json.loads(self._blow(scope).read_text()))
        except FileNotFoundError:
            return None

    # In the doomed process.

    def awaits(self, step: str, entries: Iterable[Entry]) -> bool:
        return any(self._signal(entry.scope.name, step) for entry in entries)

    def meet(self, step: str, entries: Iterable[Entry]) -> None:
        """Is struck if one of these scopes is doomed at this step."""
        told = [(entry.scope.name, entry.rev, entry.by.get("request", "")) for entry in entries]
        for scope, _, _ in told:
            signum = self._signal(scope, step)
            if signum and self.lift(scope):
                blow = {"step": step, "name": os.environ["NAME"], "at": time.monotonic(), "entries": told}
                self._write(self._blow(scope), json.dumps(blow))
                os.kill(os.getpid(), signum)

    def _signal(self, scope: str, step: str) -> int:
        """What this process is to be struck with; 0 when it is not."""
        try:
            doomed, signum, *spared = (self._directory / scope).read_text().split()
        except FileNotFoundError:
            return 0
        return int(signum) if doomed == step and os.environ["NAME"] not in spared else 0

    def _blow(self, scope: str) -> Path:
        return self._directory / f"{scope}.blow"

    def _write(self, path: Path, text: str) -> None:
        """Whole or not at all."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(text)
        partial.replace(path)


def wrap(dooms: Dooms) -> None:
    """Puts the steps between the methods of a commit."""
    _wrap_transaction(dooms)
    _wrap_publisher(dooms)


_committing: WeakKeyDictionary[Transaction, list[Entry]] = WeakKeyDictionary()
_noted: dict[object, list[Entry]] = {}


def _wrap_transaction(dooms: Dooms) -> None:
    insert_entries, note_in_outbox, commit = Journal._insert_entries, Journal._note_in_outbox, Transaction.commit

    async def doomed_insert_entries(self: Journal, transaction: Transaction, entries: list[Entry]) -> list[Any]:
        dooms.meet("before-insert", entries)
        entry_ids = await insert_entries(self, transaction, entries)
        dooms.meet("after-insert", entries)
        return entry_ids

    async def doomed_note_in_outbox(self: Journal, transaction: Transaction, entries: list[Entry]) -> object:
        dooms.meet("after-writes", entries)
        outbox_id = await note_in_outbox(self, transaction, entries)
        dooms.meet("after-outbox", entries)
        if entries:
            _committing[transaction] = _noted[outbox_id] = entries
        return outbox_id

    async def doomed_commit(self: Transaction) -> None:
        entries = _committing.get(self, [])
        if dooms.awaits("during-commit", entries):
            under_way = asyncio.create_task(commit(self))
            await asyncio.wait({under_way}, timeout=random.uniform(0, 0.004))
            dooms.meet("during-commit", entries)
        await commit(self)
        dooms.meet("after-commit", entries)

    Journal._insert_entries = doomed_insert_entries  # type: ignore[method-assign]
    Journal._note_in_outbox = doomed_note_in_outbox  # type: ignore[method-assign]
    Transaction.commit = doomed_commit  # type: ignore[method-assign]


def _wrap_publisher(dooms: Dooms) -> None:
    publish, clear = Publisher.publish, Publisher.clear

    async def doomed_publish(self: Publisher, hints: Iterable[Hint]) -> bool:
        hints = list(hints)
        entries = [hint.entry for hint in hints]
        if dooms.awaits("between-hints", entries):
            await publish(self, hints[:1])
            await self._bus.flush()
            dooms.meet("between-hints", entries)
        handed_over = await publish(self, hints)
        dooms.meet("after-publish", entries)
        if dooms.awaits("after-flush", entries):
            await self._bus.flush()
            dooms.meet("after-flush", entries)
        return handed_over

    async def doomed_clear(self: Publisher, outbox_ids: list[Any]) -> None:
        dooms.meet("before-clear", [entry for outbox_id in outbox_ids for entry in _noted.pop(outbox_id, [])])
        await clear(self, outbox_ids)

    Publisher.publish = doomed_publish  # type: ignore[method-assign]
    Publisher.clear = doomed_clear  # type: ignore[method-assign]


def main(service: str) -> None:
    wrap(Dooms(Path(os.environ["DOOMS"])))
    run_service(service, importlib.import_module(f"services.{service}.__main__").handlers)


if __name__ == "__main__":
    main(sys.argv[1])
