"""What comes over the wire to a client of ours, recorded: how much it is, and whether it comes in order, once.

The client's own cache would forgive what comes twice or out of order; this does not.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from guildwire import Cache
from guildwire.errors import TurnedAway
from guildwire.wire import Connection, OnEvent, OnReply, OnRequest
from websockets.asyncio.client import ClientConnection
from websockets.protocol import State

from tests.order import DENSE, Order, kind_of

Params = Mapping[str, Any]


@dataclass
class Traffic:
    """Frames and their bytes since the last connection began.

    `echo` are the bytes in which the server names the scopes that it was asked to sort: as many as the client claimed,
    whatever became of them. `told` are the events that are about a scope.
    """

    sent: int = 0
    received: int = 0
    bytes_received: int = 0
    echo: int = 0
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, Params]] = field(default_factory=list)

    @property
    def bytes_of_news(self) -> int:
        """What was received beside the echo."""
        return self.bytes_received - self.echo


class Recording:
    """`open` takes the place of `Connection.open`."""

    def __init__(self, cache: Cache) -> None:
        self.violations: list[str] = []
        self.reached: list[tuple[float, float | None]] = []
        """When a node was there to try, and in how many seconds it said to come again; None: it opened."""
        self.traffic = Traffic()
        self.on_told: Callable[[str, Params], None] = lambda _name, _params: None
        self._texts: list[str] = []
        self._cache = cache
        self._orders: dict[str, Order] = {}
        self._claimed: dict[str, int] = {}
        self._gone: set[str] = set()
        self._directs: set[str] = set()
        self._skipped: set[str] = set()

    def broken_rules(self) -> list[str]:
        """Over all connections so far; to be asked when all has come."""
        return self.violations + [f"{scope}: revs are missing that no deletion explains" for scope in self._skipped]

    def take_texts(self) -> list[str]:
        """Every frame that came since this was last asked, over whatever connection."""
        texts, self._texts = self._texts, []
        return texts

    async def open(self, url: str, on_event: OnEvent, on_reply: OnReply, on_request: OnRequest) -> Connection:
        self.traffic = traffic = Traffic()
        self._orders, self._claimed, self._gone, self._skipped = {}, {}, set(), set()
        self._directs = {f"channel:{each}" for each in self._cache.direct_channels}

        def event(name: str, params: Params) -> None:
            self._hear(name, params)
            on_event(name, params)

        def reply(method: str, params: Params, result: Any, asked: int) -> None:
            self._read(method, params, result)
            on_reply(method, params, result, asked)

        asked = time.monotonic()
        try:
            connection = await Connection.open(url, event, reply, on_request)
        except TurnedAway as error:
            self.reached.append((asked, error.retry_after))
            raise
        self.reached.append((asked, None))
        # Nothing was sent yet, and its reader has not begun.
        connection._socket = cast("ClientConnection", _Counted(connection._socket, traffic, self._keep))
        return connection

    def _keep(self, text: str) -> None:
        self._texts.append(text)

    # What is heard.

    def _hear(self, name: str, params: Params) -> None:
        scope = params.get("scope")
        if scope is None:
            return
        self.traffic.told.append((name, params))
        self.on_told(name, params)
        if scope in self._gone:
            self.violations.append(f"{name} of {scope} after it was gone")
            return
        if params["rev"] <= self._claimed.get(scope, 0):
            self.violations.append(f"{name} of {scope}: rev {params['rev']} is claimed already")
        self._follow(name, scope, params)
        self._move(name, params)

    def _move(self, name: str, params: Params) -> None:
        """What comes into sight begins, what goes out of it ends."""
        match name:
            case "server_deleted":
                self._drop(params["server_id"])
            case "server_added":
                for each, rev in params["scopes"].items():
                    self._begin_anew(each, rev)
            case "channel_added":
                known = f"channel:{params['channel']['id']}"
                (self._begin_anew if known in self._gone else self._begin)(known, params["at"])
            case "channel_deleted":
                self._end(f"channel:{params['channel_id']}")
            case "direct_channel_added":
                self._directs.add(f"channel:{params['channel']['id']}")
                self._gone.discard(f"channel:{params['channel']['id']}")
                self._begin(f"channel:{params['channel']['id']}", params["at"])
            case "direct_channel_deleted":
                self._end(f"channel:{params['channel_id']}")

    def _follow(self, name: str, scope: str, params: Params) -> None:
        """Nothing may be missing. But who is told late is told nothing of a message that is deleted further on."""
        order, rev = self._orders.setdefault(scope, Order()), params["rev"]
        # In a direct channel there are entries for gateways alone: somebody left.
        dense = kind_of(scope) in DENSE and scope not in self._directs
        late = dense and kind_of(scope) == "channel" and order.misses(rev)
        for broken in order.take(rev, more=bool(params.get("more")), dense=dense and not late):
            self.violations.append(f"{name} of {scope}: {broken}")
        if late:
            self._skipped.add(scope)
        if name == "message_deleted":
            self._skipped.discard(scope)

    def _drop(self, server_id: str) -> None:
        channels = {f"channel:{each}" for each, server in self._cache.guilds.server_of.items() if server == server_id}
        for scope in channels | {f"server:{server_id}"}:
            self._end(scope)

    def _end(self, scope: str) -> None:
        self._orders.pop(scope, None)
        self._claimed.pop(scope, None)
        self._skipped.discard(scope)
        self._gone.add(scope)

    def _begin_anew(self, scope: str, rev: int) -> None:
        self._gone.discard(scope)
        self._claimed.pop(scope, None)
        self._orders[scope] = Order()
        self._orders[scope].begin(rev)

    def _begin(self, scope: str, rev: int) -> None:
        if scope not in self._gone:
            self._orders.setdefault(scope, Order()).begin(rev)

    # What is replied.

    def _read(self, method: str, params: Params, result: Any) -> None:
        self.traffic.asked.append(method)
        if method == "get_direct_channels":
            listed = result["channels"] if result["full"] else result["updated"]
            self._directs.update(f"channel:{channel['id']}" for channel in listed)
        if method in {"authenticate", "resume"}:
            self._sorted(params.get("resume" if method == "authenticate" else "scopes", {}), result)
            return
        scope = self._cache._scope_read(method, params)
        if scope is None or "user_id" in params or scope in self._gone:
            return
        heard = self._orders.setdefault(scope, Order()).heard
        if heard is not None and result["rev"] < heard:
            self.violations.append(f"a reply on {scope} at {result['rev']} after the event {heard}")
        self._begin(scope, result["rev"])

    def _sorted(self, claimed: Mapping[str, int], result: Params) -> None:
        """The missed events of what is current follow, from the claimed position on."""
        if claimed:
            self.traffic.echo += sum(
                len(json.dumps(result[kind], separators=(",", ":"))) for kind in ("current", "stale", "gone")
            )
        for scope, rev in result["current"].items():
            self._begin(scope, claimed.get(scope, rev))
            if scope in claimed:
                self._claimed[scope] = claimed[scope]


class _Counted:
    """A WebSocket, as far as `Connection` uses it, whose frames are counted."""

    def __init__(self, socket: ClientConnection, traffic: Traffic, keep: Callable[[str], None]) -> None:
        self._socket = socket
        self._traffic = traffic
        self._keep = keep

    @property
    def state(self) -> State:
        return self._socket.state

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def send(self, text: str) -> None:
        self._traffic.sent += 1
        await self._socket.send(text)

    async def close(self, code: int = 1000) -> None:
        await self._socket.close(code)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for text in self._socket:
            assert isinstance(text, str)
            self._keep(text)
            self._traffic.received += 1
            self._traffic.bytes_received += len(text.encode())
            yield text
