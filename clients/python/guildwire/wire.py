"""One WebSocket with JSON-RPC 2.0 on it: requests out, replies and events in. It knows nothing of caching."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.protocol import State as WebSocketState

from guildwire.errors import Disconnected, TurnedAway, Unavailable, refusal

LARGEST_FRAME = 4 * 1024 * 1024
"""No reply exceeds 512 KiB; events may be larger than we know, but not without end."""

CONNECT_SECONDS = 10.0
REPLY_SECONDS = 15.0
PING_SECONDS = 15.0
BAD_DATA = 1007

Params = Mapping[str, Any]
OnEvent = Callable[[str, Params], None]
OnReply = Callable[[str, Params, Any, int], None]
OnRequest = Callable[[], int]
"""What it returns as a request is sent, is given back with the reply."""

_log = logging.getLogger("guildwire")


@dataclass(slots=True)
class _Request:
    method: str
    params: Params
    asked: int
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Connection:
    """`on_event` and `on_reply` are called at once, in the order in which things came, before any caller resumes."""

    def __init__(
        self,
        socket: ClientConnection,
        on_event: OnEvent,
        on_reply: OnReply,
        on_request: OnRequest,
    ) -> None:
        self._socket = socket
        self._on_event = on_event
        self._on_reply = on_reply
        self._on_request = on_request
        self._ids = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self.broken = False
        """What came was no part of the protocol, or not what its listeners could follow."""
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        url: str,
        on_event: OnEvent = lambda _name, _params: None,
        on_reply: OnReply = lambda _method, _params, _result, _asked: None,
        on_request: OnRequest = lambda: 0,
    ) -> Self:
        """Raises Disconnected if nobody answers there."""
        try:
            socket = await connect(
                url,
                open_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=2,
                max_size=LARGEST_FRAME,
                compression=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            why = f"{urlsplit(url).netloc}: {_obstacle(error)}"
            if retry_after := _retry_after(error):
                raise TurnedAway(why, retry_after) from error
            raise Disconnected(why) from error
        return cls(socket, on_event, on_reply, on_request)

    async def request(self, method: str, params: Params | None = None) -> Any:
        """Raises Refused, or Disconnected when the connection ends first."""
        number = next(self._ids)
        request = self._requests[number] = _Request(method, params or {}, self._on_request())
        frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": request.params}
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))
            async with asyncio.timeout(REPLY_SECONDS):
                return await request.answer
        except ConnectionClosed:
            raise Disconnected(self.end) from None
        except TimeoutError:
            raise Unavailable(5030, f"No answer to {method} within {REPLY_SECONDS:g} s.", {}) from None
        finally:
            self._requests.pop(number, None)

    async def idle(self) -> None:
        """Waits until every request has its answer."""
        while answers := [request.answer for request in self._requests.values() if not request.answer.done()]:
            await asyncio.wait(answers)

    @property
    def is_open(self) -> bool:
        return self._socket.state is WebSocketState.OPEN

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def closed(self) -> None:
        """Waits for the end, whoever brings it about."""
        await asyncio.shield(self._reader)

    async def close(self) -> None:
        await self._socket.close()
        await asyncio.wait({self._reader})

    # Reading.

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                frame = json.loads(text)
                for element in frame if isinstance(frame, list) else [frame]:
                    self._take(element)
        except ConnectionClosed:
            pass
        except (ValueError, LookupError, TypeError, AttributeError):
            self.broken = True
            _log.exception("What came over the connection can't be followed.")
            await self._socket.close(BAD_DATA)
        finally:
            for request in self._requests.values():
                if not request.answer.done():
                    request.answer.set_exception(Disconnected(self.end))
                    request.answer.exception()  # its caller may have given up

    def _take(self, element: Mapping[str, Any]) -> None:
        if "method" in element:
            self._on_event(element["method"], element.get("params") or {})
            return
        request = self._requests.get(element["id"])
        if request is None or request.answer.done():
            return
        if "error" in element:
            request.answer.set_exception(refusal(element["error"]))
        else:
            self._on_reply(request.method, request.params, element["result"], request.asked)
            request.answer.set_result(element["result"])

    @property
    def end(self) -> str:
        """How it ended, for people."""
        code = self._socket.close_code
        return "The connection was lost." if code in {None, 1006} else f"The connection was closed ({code})."


def _retry_after(error: Exception) -> float:
    """Seconds that whoever refused the upgrade asks to wait; 0 where nobody says so."""
    # A proxy may have added one of its own.
    said = error.response.headers.get_all("Retry-After") if isinstance(error, InvalidStatus) else []
    seconds = [int(each) for each in said if each.isascii() and each.isdecimal() and len(each) < len("10000")]
    return max(seconds, default=0)


def _obstacle(error: Exception) -> str:
    """Why nobody answers, in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return str(error)
