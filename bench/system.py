"""A whole system of real processes for a bench, in a folder of its own; and a bare client to drive it with."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets

from deploy.embedded import Mongod, NatsServer, free_port
from deploy.processes import Process, stop_all, wait_all_ready

_READY_WITHIN = 60.0


@dataclass(frozen=True)
class System:
    """How many gateways are to run, and how many replicas of each service."""

    gateways: int = 2
    replicas: int = 1


class Bench:
    """The servers and the gateways' URLs."""

    def __init__(self, mongod: Mongod, nats: NatsServer, urls: list[str]) -> None:
        self.mongod = mongod
        self.nats = nats
        self.urls = urls


@contextmanager
def running(system: System) -> Iterator[Bench]:
    """Starts everything, and ends everything with the block."""
    with tempfile.TemporaryDirectory(prefix="guildwire-bench-") as folder:
        root = Path(folder)
        mongod, nats = Mongod(root), NatsServer(root)
        processes: list[Process] = []
        try:
            mongod.start()
            nats.start()
            base = {"MONGO_URL": mongod.url, "NATS_URL": nats.url, "LIMITS": "off", "PASSWORD_MEMORY": "1024"}
            ports = [free_port() for _ in range(system.gateways)]
            for number, port in enumerate(ports):
                argv = [sys.executable, "-m", "services.gateway"]
                own = base | {"PORT": str(port)}
                processes.append(Process(f"gateway-{number}", argv, own, root / "run"))
            for service, number in itertools.product(("guilds", "messages", "presence"), range(system.replicas)):
                argv = [sys.executable, "-m", f"services.{service}"]
                processes.append(Process(f"{service}-{number}", argv, base, root / "run"))
            for process in processes:
                process.start()
            wait_all_ready(processes, _READY_WITHIN)
            yield Bench(mongod, nats, [f"ws://127.0.0.1:{port}/ws" for port in ports])
        finally:
            stop_all([*processes, nats, mongod])


class Client:
    """As little as a client can be: calls, and a hook for events."""

    _names = itertools.count(1)

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())
        self.on_event: Callable[[str, dict[str, Any]], None] = lambda _name, _params: None

    @classmethod
    async def connect(cls, url: str) -> Client:
        return cls(await websockets.connect(url, compression=None, max_size=None))

    @classmethod
    async def register(cls, url: str) -> tuple[Client, str]:
        """A new user, authenticated; and their token."""
        client = await cls.connect(url)
        made = await client.call("register", name=f"bench.{next(cls._names)}", password="bench bench")
        await client.call("authenticate", token=made["token"])
        return client, made["token"]

    async def call(self, method: str, **params: Any) -> Any:
        request_id = next(self._ids)
        future = self._pending[request_id] = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        await self._socket.send(json.dumps(request))
        reply = await asyncio.wait_for(future, 30)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._pending.pop(message["id"]).set_result(message)
            else:
                self.on_event(message["method"], message["params"])


def quantile(values: list[float], share: float) -> float:
    """In milliseconds, of times in seconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000
