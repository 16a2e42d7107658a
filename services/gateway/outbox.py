"""What waits to be sent to one socket: shared frames, written together once per turn of the event loop."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_POLL = 0.02
_UNSENT_IN_KERNEL = 128 << 10


def wait_here(transport: asyncio.BaseTransport) -> None:
    """Lets the kernel take little that it can't send yet: else megabytes wait there, unseen, for who does not read.

    What is on its way is not limited by it. Where the system has no such option the kernel's own limits hold.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    own = transport.get_extra_info("socket")
    if option is not None and own is not None:
        with suppress(OSError):
            own.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_IN_KERNEL)


class Outbox:
    """Frames in order. Bounded: whoever adds an event asks whether it overflows, and then closes."""

    __slots__ = ("_flushing", "_frames", "_limit", "_loop", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._size = 0
        self._flushing = False

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._size += len(frame)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._flushing = False
        if not self._frames:
            return
        frames, self._frames, self._size = self._frames, [], 0
        if not self._transport.is_closing():
            self._transport.writelines(frames)

    @property
    def unsent(self) -> int:
        """Bytes not yet taken by the kernel."""
        return self._size + self._transport.get_write_buffer_size()

    def overflows_with(self, held: int) -> bool:
        """Whether the unsent bytes, and those held back beside them, pass the limit."""
        return self.unsent + held > self._limit

    @property
    def is_half_full(self) -> bool:
        return self.unsent > self._limit // 2

    async def has_room(self) -> None:
        """Waits while more than half of it is full: a client that does not read gets no further answers."""
        while self.is_half_full and not self._transport.is_closing():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_POLL)
