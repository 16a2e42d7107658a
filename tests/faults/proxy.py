"""A link to a nats-server that also loses, doubles, swaps and delays hints.

It reads what the server sends, by NATS's client protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol):
a `MSG` or `HMSG` line with its sizes, then the payload. Unasked only hints are touched, on subjects beginning `ev.`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from tests.faults.links import Link, Links

_LONGEST_SWAP = 0.05


@dataclass(frozen=True)
class Faults:
    """The shares of all hints that are lost, come twice, or come after the next one."""

    lost: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0

    def draw(self, chance: float) -> str:
        """What becomes of a hint, for a number between 0 and 1."""
        if chance < self.lost:
            return "lost"
        if chance < self.lost + self.doubled:
            return "doubled"
        return "swapped" if chance < self.lost + self.doubled + self.swapped else "passed"


class Proxy(Link):
    """Stands before one nats-server for any number of clients. `done` counts what became of the hints."""

    def __init__(self, links: Links, target: int, seed: int) -> None:
        super().__init__(links, target)
        self._chances = random.Random(seed)
        self._doomed: Counter[str] = Counter()
        self._late: dict[str, float] = {}
        self.faults = Faults()
        self.done: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def lose_next(self, subject: str, hints: int) -> None:
        """The next so many messages on this subject are lost, whatever the shares."""
        self._doomed[subject] = hints

    def forgive(self) -> None:
        """Nothing is lost, doubled, swapped or late any more."""
        self.faults = Faults()
        self._doomed.clear()
        self._late.clear()

    def delay_hints(self, subject: str, seconds: float) -> None:
        """From now on the hints on this subject come so late, while others overtake them; 0 ends it."""
        self._late[subject] = seconds

    # In the links' thread.

    async def carry_back(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await Hints(self, server, to_client).run()

    def swallows(self, subject: str) -> bool:
        """Whether a message that is no hint is lost: those that were said to be, and no others."""
        if not self._doomed[subject]:
            return False
        self._doomed[subject] -= 1
        return True

    def lateness(self, subject: str) -> float:
        return self._late.get(subject, 0.0)

    def fate(self, subject: str) -> str:
        """What is to become of a hint."""
        fate = self.faults.draw(self._chances.random())
        if self._doomed[subject]:
            self._doomed[subject] -= 1
            fate = "lost"
        self.done[fate] += 1
        return fate


class Hints:
    """The messages of one connection on their way from the server to the client."""

    def __init__(self, proxy: Proxy, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._server = server
        self._to_client = to_client
        self._kept: list[bytes] = []

    async def run(self) -> None:
        while line := await self._server.readline():
            await self._proxy.back.passing.wait()
            if self._proxy.back.late:
                await asyncio.sleep(self._proxy.back.late)
            operation, *arguments = line.split()
            message = line
            if operation in {b"MSG", b"HMSG"}:
                message += await self._server.readexactly(int(arguments[-1]) + len(b"\r\n"))
            subject = arguments[0].decode() if operation == b"MSG" else ""
            if subject.startswith("ev."):
                self._hint(subject, message)
            elif self._proxy.swallows(subject):
                continue
            else:
                self._to_client.write(message)
            await self._to_client.drain()

    def _hint(self, subject: str, message: bytes) -> None:
        if late := self._proxy.lateness(subject):
            asyncio.get_running_loop().call_later(late, self._write, [message])
            return
        match self._proxy.fate(subject):
            case "doubled":
                self._to_client.write(message * 2)
            case "swapped":
                self._kept.append(message)
                asyncio.get_running_loop().call_later(_LONGEST_SWAP, self._let_out)
                return
            case "passed":
                self._to_client.write(message)
        self._let_out()

    def _let_out(self) -> None:
        """What had to wait for the next hint, or waited long enough for one."""
        kept, self._kept = self._kept, []
        self._write(kept)

    def _write(self, messages: list[bytes]) -> None:
        if not self._to_client.transport.is_closing():
            self._to_client.writelines(messages)
