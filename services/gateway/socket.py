"""The WebSocket endpoint: accepts sockets, reads their frames, closes them with the code that says what to do next."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress

from aiohttp import WSMsgType, web

from services.gateway import frames
from services.gateway.addresses import Addresses
from services.gateway.admission import Admission
from services.gateway.connection import Connection
from services.gateway.dispatch import Dispatcher, Parts
from services.gateway.interest import GOING_AWAY
from services.gateway.origins import unwanted
from services.gateway.outbox import Outbox, wait_here
from services.gateway.visibility import Visibility
from shared.protocol.connection import Reconnect
from shared.telemetry import CLOSES, CONNECTIONS, FRAMES_IN, logger

_FRAME_LIMIT = 64 << 10
_NOT_AUTHENTICATED = 4003
_BINARY = 1003
_CLOSE_PATIENCE = 10.0
_FAREWELL = 3.0
"""How long a client may take to answer a close."""


class Sockets:
    """All open sockets of this gateway."""

    def __init__(self, parts: Parts, visibility: Visibility, addresses: Addresses, admission: Admission) -> None:
        self._parts = parts
        self._addresses = addresses
        self._admission = admission
        self._visibility = visibility
        self._open: set[Socket] = set()
        self._accepting = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if (refusal := unwanted(request, self._parts.settings.allowed_origins)) is not None:
            return refusal
        if not self._accepting or len(self._open) >= self._parts.settings.max_connections:
            return _takes_no_more()
        ws = web.WebSocketResponse(
            heartbeat=self._parts.settings.ping_interval,
            compress=False,
            # aiohttp refuses what is not smaller than its limit.
            max_msg_size=_FRAME_LIMIT + 1,
            timeout=_FAREWELL,
        )
        address = self._addresses.of(request)
        # Only who can be let in pays; `prepare` tells the others what their request lacks.
        if ws.can_prepare(request) and (wait := self._parts.limits.wait_for_handshake(address, self._admission.crowd)):
            return _takes_no_more(wait)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        wait_here(transport)
        socket = Socket(ws, transport, self._parts, address)
        self._open.add(socket)
        CONNECTIONS.labels(state="open").inc()
        try:
            await socket.serve()
        finally:
            self._parts.entrance.leave(socket.connection)
            await self._cut_off(transport)
            self._open.discard(socket)
            CONNECTIONS.labels(state="open").dec()
        return ws

    async def _cut_off(self, transport: asyncio.Transport) -> None:
        """A peer that takes nothing any more would keep its unsent bytes here for as long as it likes."""
        until = time.monotonic() + _CLOSE_PATIENCE
        while transport.get_write_buffer_size() and time.monotonic() < until:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
        if transport.get_write_buffer_size():
            transport.abort()

    def end_all(self) -> None:
        """Another history has begun: whatever any client holds is worthless."""
        for socket in tuple(self._open):
            socket.connection.close(GOING_AWAY)
        self._visibility.forget_everything()

    def accept_no_more(self) -> list[Socket]:
        """New upgrades are refused; gives the sockets there are."""
        self._accepting = False
        return list(self._open)

    async def close(self) -> None:
        """Closes every socket: this node is gone."""
        self._accepting = False
        for socket in tuple(self._open):
            socket.connection.close(GOING_AWAY)
        until = time.monotonic() + 3
        while self._open and time.monotonic() < until:  # noqa: ASYNC110 - bounded, once in a process's life
            await asyncio.sleep(0.02)


def _takes_no_more(wait: float = 0) -> web.Response:
    """Who is told a time shall come again then; else it is time to look for another node."""
    headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
    return web.Response(status=503, headers=headers, text="This node takes no more sockets.\n")


class Socket:
    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport, parts: Parts, address: str) -> None:
        self._ws = ws
        self._transport = transport
        self._settings = parts.settings
        self._outbox = Outbox(transport, parts.settings.outbox_limit)
        self._reading = asyncio.create_task(self._read())
        self._closing: asyncio.Task[None] | None = None
        self._taking = asyncio.Lock()
        self._gone = asyncio.Event()
        self._opened = self._allowed = time.monotonic()
        self.connection = Connection(self._outbox, self._close_soon)
        self._dispatcher = Dispatcher(self.connection, parts, parts.limits.connection(address), self._on_allowed)

    async def serve(self) -> None:
        """Until the socket is closed, by either side."""
        waiting = asyncio.create_task(self._expect_authentication())
        try:
            await asyncio.wait({self._reading})
        finally:
            waiting.cancel()
            self._reading.cancel()
            self._gone.set()
            self.connection.gone()
            await self._dispatcher.end()
            if self._closing is not None:
                await self._closing
        if not self._reading.cancelled():
            self._reading.result()

    async def _read(self) -> None:
        async for message in self._ws:
            if self.connection.closing:
                break
            if message.type is WSMsgType.TEXT:
                FRAMES_IN.inc()
                async with self._taking:
                    if not self.connection.closing:
                        await self._dispatcher.accept(message.data)
            elif message.type is WSMsgType.BINARY:
                self.connection.close(_BINARY)
                break

    async def leave(self, after: float) -> None:
        """Says now when it will close, and closes then; what was asked before is answered first.

        Returns when the close is on its way, at once when the client is the first to go.
        """
        self.connection.reply(frames.notification(Reconnect.name, Reconnect(after_ms=round(after * 1000)).model_dump()))
        with suppress(TimeoutError):
            async with asyncio.timeout(after):
                await self._gone.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.request_timeout), self._taking:
                await self._dispatcher.idle()
                # Still holding it: what is read from now on comes to nothing.
                self.connection.close(GOING_AWAY)
        self.connection.close(GOING_AWAY)

    def _on_allowed(self) -> None:
        self._allowed = time.monotonic()

    async def _expect_authentication(self) -> None:
        settings = self._settings
        while not self.connection.authenticated:
            until = min(self._allowed + settings.authenticate_timeout, self._opened + settings.anonymous_limit)
            remaining = until - time.monotonic()
            if remaining <= 0:
                self.connection.close(_NOT_AUTHENTICATED)
                return
            await asyncio.sleep(remaining)

    def _close_soon(self, code: int) -> None:
        CLOSES.labels(code=str(code)).inc()
        self._closing = asyncio.create_task(self._close(code))

    async def _close(self, code: int) -> None:
        """Says the code after all that is on its way; a client that takes nothing any more is cut off.

        While anybody reads, aiohttp doesn't wait for the client's own close; and a client that sends to a socket closed
        already may never get to read the code.
        """
        self._outbox.flush()
        self._reading.cancel()
        await asyncio.wait({self._reading})
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await self._ws.close(code=code)
        except (TimeoutError, ConnectionError) as error:
            logger().debug("close_cut_short", code=code, error=type(error).__name__)
            self._transport.abort()
