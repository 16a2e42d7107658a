"""A raw wire client: it sends what it is told, good or bad, and records all that comes, in order of arrival.

It knows JSON-RPC and nothing of caching; `tests.cache` follows what it records.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE = 5.0
"""Seconds within which anything asked for must have happened."""

LARGEST_FRAME = 640 * 1024
"""No reply exceeds 512 KiB; a larger frame ends the connection with 1009, and so the test."""

Params = Mapping[str, Any]


class RpcError(Exception):
    """An error object that came as the answer to a request."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: dict[str, Any] = error.get("data") or {}
        self.reason: str = self.data.get("reason", "")
        super().__init__(f"{self.code} {self.reason}: {self.message} {self.data}")

    @property
    def fields(self) -> set[str]:
        """The fields that `invalid_params` names."""
        return {problem["field"] for problem in self.data.get("errors", [])}


class Closed(Exception):
    """The connection ended before what was waited for came."""


@dataclass(frozen=True, slots=True)
class Event:
    """One notification of the server; `at` is the monotonic time of its arrival."""

    method: str
    params: dict[str, Any]
    at: float

    @property
    def scope(self) -> str:
        return str(self.params["scope"])

    @property
    def rev(self) -> int:
        return int(self.params["rev"])

    def matches(self, method: str, params: Params) -> bool:
        return self.method == method and all(self.params.get(name) == value for name, value in params.items())


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request of ours, with that request."""

    method: str
    params: Params
    result: Any
    error: RpcError | None
    at: float


Received = Event | Reply


@dataclass(slots=True)
class _Pending:
    method: str
    params: Params
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def text_of(message: Any) -> str:
    """JSON as clients write it: characters as themselves."""
    return json.dumps(message, ensure_ascii=False)


class Client:
    """One connection. Everything received stands in `received`; `on_received` hears it at once, in the same order."""

    def __init__(self, socket: ClientConnection, on_received: Callable[[Received], None] | None = None) -> None:
        self._socket = socket
        self._on_received = on_received
        self._pending: dict[int, _Pending] = {}
        self._last_id = 0
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self._arrived = asyncio.Event()
        self.received: list[Received] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls,
        url: str,
        on_received: Callable[[Received], None] | None = None,
        *,
        receive_buffer: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Connects without authenticating. `receive_buffer`: what the kernel takes while nothing is read, in bytes."""
        options: dict[str, Any] = {"additional_headers": headers}
        if receive_buffer is not None:
            address = urlsplit(url)
            own = socket.socket()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, (address.hostname, address.port))
            options |= {"sock": own, "max_queue": 1}
        opened = await connect(url, compression=None, max_size=LARGEST_FRAME, ping_interval=None, proxy=None, **options)
        return cls(opened, on_received)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self.resume_reading()
        await self._socket.close()
        with suppress(asyncio.CancelledError):
            await self._reader

    def abort(self) -> None:
        """Drops the TCP connection without a closing handshake, as a lost network does."""
        self._socket.transport.abort()

    # Requests.

    async def call(self, method: str, **params: Any) -> Any:
        """One request and its result; raises RpcError, or Closed when the connection ends first."""
        return await asyncio.wait_for(await self.send(method, **params), PATIENCE * 2)

    async def send(self, method: str, **params: Any) -> asyncio.Future[Any]:
        """Sends a request and returns at once; the future has its result. Frames leave in the order of the calls."""
        request, future = self.request(method, params)
        await self.send_raw(text_of(request))
        return future

    def request(self, method: str, params: Params) -> tuple[dict[str, Any], asyncio.Future[Any]]:
        """A request with an id of its own, not sent yet, and the future of its result."""
        self._last_id += 1
        pending = _Pending(method, dict(params))
        self._pending[self._last_id] = pending
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": dict(params)}, pending.future

    async def batch(self, *calls: tuple[str, Params]) -> list[Any]:
        """Several requests in one frame. Each outcome is a result or an RpcError, in the order of the calls."""
        requests, futures = zip(*(self.request(method, params) for method, params in calls), strict=True)
        await self.send_raw(text_of(requests))
        waiting = asyncio.gather(*futures, return_exceptions=True)
        return await asyncio.wait_for(waiting, PATIENCE * 2)

    async def notify(self, method: str, **params: Any) -> None:
        """A request without an id: it runs, and nothing answers."""
        await self.send_raw(text_of({"jsonrpc": "2.0", "method": method, "params": params}))

    async def send_raw(self, frame: str | bytes | list[str], *, text: bool | None = None) -> None:
        """Any frame at all; `text=True` sends bytes as a text frame, valid or not; a list goes out in fragments."""
        try:
            await self._socket.send(frame, text=text)
        except ConnectionClosed as error:
            raise Closed(f"closed with {self.close_code}") from error

    async def exchange(self, frame: str) -> Any:
        """Sends a raw frame and returns the next frame that is neither an event nor the answer to another request."""
        await self.send_raw(frame)
        return await self.answer()

    async def answer(self) -> Any:
        """The next frame that answers no request made through `call`, `send` or `batch`."""
        waiting = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({waiting, self._reader}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        if self._reader.done():
            raise Closed(f"closed with {self.close_code}")
        raise TimeoutError("no answer came")

    # What came.

    @property
    def events(self) -> Iterator[Event]:
        return (item for item in self.received if isinstance(item, Event))

    def heard(self, method: str, **params: Any) -> list[Event]:
        """The events so far of this method whose params contain these."""
        return [event for event in self.events if event.matches(method, params)]

    async def event(self, method: str, **params: Any) -> Event:
        """The first such event, whether it came already or comes within the patience."""
        found: list[Event] = []

        def came() -> bool:
            found[:] = self.heard(method, **params)
            return bool(found)

        await self.until(came, f"event {method} {params}")
        return found[0]

    async def until(self, condition: Callable[[], bool], what: str = "", patience: float = PATIENCE) -> None:
        """Waits, looking again at each arrival, until the condition holds; raises Closed or TimeoutError."""
        deadline = time.monotonic() + patience
        while not condition():
            if self._reader.done():
                raise Closed(f"closed with {self.close_code} before: {what}")
            self._arrived.clear()
            left = deadline - time.monotonic()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                raise TimeoutError(f"never came: {what}") from None

    # The end.

    @property
    def close_code(self) -> int | None:
        """The code the connection was closed with, None while it is open."""
        return self._socket.close_code

    async def closed(self, patience: float = PATIENCE) -> int | None:
        """Waits for the other side to close, and returns its code."""
        await asyncio.wait_for(asyncio.shield(self._reader), patience)
        return self.close_code

    # Reading.

    def pause_reading(self) -> None:
        """Takes nothing more from the socket, as a client that hangs."""
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    async def _read(self) -> None:
        try:
            while True:
                await self._reading.wait()
                frame = await self._socket.recv()
                self._take(json.loads(frame))
        except ConnectionClosed:
            pass
        finally:
            self._arrived.set()
            for pending in self._pending.values():
                if not pending.future.done():
                    pending.future.set_exception(Closed(f"closed with {self.close_code}"))
                    pending.future.exception()  # nobody may be waiting for it

    def _take(self, frame: Any) -> None:
        now = time.monotonic()
        elements = frame if isinstance(frame, list) else [frame]
        if not isinstance(frame, list) and "method" in frame:
            self._record(Event(frame["method"], frame["params"], now))
        elif not self._answer_all(elements, now):
            self._answers.put_nowait(frame)
        self._arrived.set()

    def _answer_all(self, elements: Iterable[dict[str, Any]], now: float) -> bool:
        """Gives answers to the requests they belong to; False when one belongs to none of ours."""
        known = True
        for element in elements:
            number = element.get("id")
            pending = self._pending.pop(number, None) if isinstance(number, int) else None
            if pending is None:
                known = False
                continue
            error = RpcError(element["error"]) if "error" in element else None
            self._record(Reply(pending.method, pending.params, element.get("result"), error, now))
            if pending.future.done():  # its caller gave up
                continue
            if error is not None:
                pending.future.set_exception(error)
                pending.future.exception()
            else:
                pending.future.set_result(element["result"])
        return known

    def _record(self, item: Received) -> None:
        self.received.append(item)
        if self._on_received is not None:
            self._on_received(item)
