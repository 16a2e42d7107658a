"""A gateway process: all of production's gateway between a client's frames and the frames sent, but for the sockets.

`services/gateway/app.py` puts the parts together; it is given the simulated network.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from shared.settings import Settings
from tests.model.loop import Process
from tests.model.network import Bus, Network
from tests.model.production import Production
from tests.model.world import World

_SMALL = {
    "affinity": "off",
    "ring_size": 3,
    "reorder_limit": 4,
    "interest_linger": 4.0,
    "request_timeout": 3.0,
    "read_timeout": 1.0,
}
"""Some below what an operator may set, so that a run of seconds meets every limit."""
_GOING_AWAY, _TOO_SLOW = 1012, 4008


class Gateway:
    def __init__(self, world: World, production: Production, network: Network, name: str) -> None:
        self.process = Process(name)
        self.sockets: set[Socket] = set()
        self.bus = Bus(network, self.process)
        self._world = world
        self.production = production
        settings = Settings().model_copy(update={"name": name, **_SMALL, **world.profile.settings})
        self.process.context.run(self._compose, settings)

    def _compose(self, settings: Settings) -> None:
        app = self.production.gateway("app")
        app.Bus = lambda _settings, _part: self.bus
        gateway = app.Gateway(settings)
        self.interest = gateway._interest
        self.parts = gateway._sockets._parts
        self.spawn(gateway._upstream.hear_replicas())
        self.spawn(gateway.work())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._world.loop.create_task(work, context=self.process.context)

    def feeds(self) -> list[Any]:
        return list(self.interest._feeds.values())

    def kill(self) -> None:
        """Its sockets are closed by the operating system."""
        self._world.kill(self.process)
        for socket in sorted(self.sockets, key=lambda each: each.serial):
            self._world.after(self._world.delay(f"{self.process.name}:close"), socket.lost)
        self.sockets.clear()


class Socket:
    """Stands for `socket.py` and the transport below it: `receive` gets each frame, `lost` says that it is closed."""

    serials = 0

    def __init__(
        self, world: World, gateway: Gateway, receive: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        Socket.serials += 1
        self.serial = Socket.serials
        self._world = world
        self._gateway = gateway
        self._receive = receive
        self.lost = lost
        self._stalled = False
        self._unread: list[bytes] = []
        gateway.sockets.add(self)
        gateway.process.context.run(self._open)

    def _open(self) -> None:
        production = self._gateway.production.gateway
        outbox = production("outbox").Outbox(self, self._gateway.parts.settings.outbox_limit)
        self.connection = self._gateway.production.connect(outbox, self._closed)
        parts = self._gateway.parts
        limits = parts.limits.connection("")
        self._dispatcher = production("dispatch").Dispatcher(self.connection, parts, limits, lambda: None)

    def send(self, frame: str) -> None:
        self._gateway.spawn(self._dispatcher.accept(frame))

    def close(self) -> None:
        """The client goes: what the gateway then does."""
        if self in self._gateway.sockets:
            self._gateway.sockets.discard(self)
            self._gateway.spawn(self._end())

    async def _end(self) -> None:
        self.connection.gone()
        await self._dispatcher.end()
        self._gateway.parts.entrance.leave(self.connection)

    def _closed(self, code: int) -> None:
        """Its client may get some of what is on its way."""
        profile = self._world.profile
        if not (code == _GOING_AWAY and profile.prunings) and not (code == _TOO_SLOW and self._stalled):
            why = "though nothing is too much for it"
            self._world.fail(f"{self._gateway.process.name} closes a socket with {code}, {why}")
        self._world.note(self._gateway.process.name, f"CLOSES a socket with {code}")
        arrive = self._world.stream("closing").randint(0, len(self._unread))
        for frame in self._unread[:arrive]:
            self._receive(frame)
        self._unread.clear()
        self._world.after(self._world.delay(f"{self._gateway.process.name}:close"), self.lost)
        self.close()

    def stall(self, lasts: float) -> None:
        """Nothing is read for so long."""
        self._stalled = True
        self._world.after(lasts, self._read_on)

    def _read_on(self) -> None:
        self._stalled = False
        unread, self._unread = self._unread, []
        for frame in unread:
            self._receive(frame)

    # The transport.

    def writelines(self, frames: Sequence[bytes]) -> None:
        if self._stalled:
            self._unread.extend(frames)
            if self.get_write_buffer_size() > 2 * self._gateway.parts.settings.outbox_limit:
                self._world.fail(f"{self._gateway.process.name} keeps too much for who reads nothing")
            return
        for frame in frames:
            self._receive(frame)

    def is_closing(self) -> bool:
        return self not in self._gateway.sockets

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unread))
