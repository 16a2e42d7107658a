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
        app.Bus = lambda _settings: self.bus
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
        self._world.fail(f"{self._gateway.process.name} closes a socket with {code}, though nothing is too much for it")

    # The transport.

    def writelines(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self._receive(frame)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0
