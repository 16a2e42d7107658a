"""A running Guildwire for tests: real mongod, real nats-server, gateways and services as processes of their own."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.database import Database

from deploy.embedded import Mongod, NatsServer, free_port
from deploy.processes import Process, stop_all
from tests.cache import Device
from tests.client import PATIENCE, Client, RpcError
from tests.secured import SecuredMongod, SecuredNats, environment_of, make_users

SERVICES = ("guilds", "messages", "presence")
START_PATIENCE = 30.0
DRAIN_PATIENCE = 30.0
CHEAP_PASSWORDS = {"PASSWORD_MEMORY": "1024", "PASSWORD_PASSES": "1"}
"""Tests register hundreds of users; what passwords cost in truth, `test_passwords` tries."""

_REGISTERED_AT_ONCE = 50

Document = dict[str, Any]


class Fleet(ABC):
    """Gateways and services as processes: `gateway-0`, `gateway-1`, `guilds-0` and so on, and what they need.

    `argv` replaces the command of the processes of one service, or of one process; `env` adds to their environment.
    Both are keyed by a process's name, its service, or `*`, the more special winning, and are read at each launch.
    """

    def __init__(
        self,
        directory: Path,
        *,
        gateways: int,
        replicas: Mapping[str, int] | None,
        argv: Mapping[str, Sequence[str]] | None,
        env: Mapping[str, Mapping[str, str]] | None,
    ) -> None:
        self.directory = directory
        self.database = f"test_{uuid.uuid4().hex[:12]}"
        self.argv = dict(argv or {})
        self.env = dict(env or {})
        self.processes: dict[str, Process] = {}
        self._ports: list[int] = []
        services = [f"{kind}-{number}" for kind in SERVICES for number in range((replicas or {}).get(kind, 1))]
        self.names = services + [self.add_gateway() for _ in range(gateways)]
        self._mongo: MongoClient[Document] | None = None

    @abstractmethod
    def start_servers(self) -> None:
        """Starts what the processes need; they wait for `launch`."""

    @abstractmethod
    def stop_servers(self) -> None: ...

    @abstractmethod
    def ways_of(self, name: str) -> dict[str, str]:
        """How this process comes to MongoDB and to NATS, as its environment."""

    @property
    @abstractmethod
    def mongo_url(self) -> str:
        """For looking at what was stored."""

    # The whole.

    def start(self) -> Self:
        """Starts everything, and returns once every process is ready."""
        try:
            self.start_servers()
            self.launch_now(*self.names)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends everything that was started; does nothing the second time."""
        stop_all(self.processes.values())
        self.processes.clear()
        try:
            if self._mongo is not None:
                self._mongo.drop_database(self.database)
        finally:
            if self._mongo is not None:
                self._mongo.close()
                self._mongo = None
            self.stop_servers()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, gateway: int = 0) -> str:
        return f"ws://127.0.0.1:{self._ports[gateway]}/ws"

    @property
    def db(self) -> Database[Document]:
        """The system's database, to look at what was stored."""
        if self._mongo is None:
            self._mongo = MongoClient(self.mongo_url, tz_aware=True)
        return self._mongo[self.database]

    @property
    def gateways(self) -> list[str]:
        return [name for name in self.names if name.startswith("gateway")]

    # Single processes. `launch_now` blocks; the coroutines leave the event loop free.

    def launch_now(self, *names: str) -> None:
        """Starts processes side by side, anew if they ran before, and waits until they are ready."""
        for name in names:
            self.processes[name] = Process(name, self._argv_of(name), self._env_of(name), self.directory / "run")
            self.processes[name].start()
        for name in names:
            self.processes[name].wait_ready(START_PATIENCE)

    def add_gateway(self, **env: str) -> str:
        """One more gateway, named but not launched yet; its number is that of its name."""
        self._ports.append(free_port(self._ports))
        name = f"gateway-{len(self._ports) - 1}"
        self.env[name] = {**self.env.get(name, {}), **env}
        return name

    async def launch(self, *names: str) -> None:
        await asyncio.to_thread(self.launch_now, *names)

    async def kill(self, name: str) -> None:
        """SIGKILL, and nothing after it: `launch` brings it back."""
        await asyncio.to_thread(self.processes[name].kill)

    async def terminate(self, name: str) -> None:
        """SIGTERM, and its end: a gateway drains first, for as long as its `DRAIN_SECONDS` say."""
        await asyncio.to_thread(self.processes[name].stop, DRAIN_PATIENCE, signal.SIGTERM)

    async def restart(self, name: str) -> None:
        """SIGKILL, and the same process anew."""
        await self.kill(name)
        await self.launch(name)

    def signal(self, name: str, number: int) -> None:
        """Any signal to a process: SIGSTOP, SIGCONT."""
        os.kill(self.processes[name].pid, number)

    def _argv_of(self, name: str) -> Sequence[str]:
        service = name.rpartition("-")[0]
        return self.argv.get(name) or self.argv.get(service) or [sys.executable, "-m", f"services.{service}"]

    def _env_of(self, name: str) -> dict[str, str]:
        service, _, number = name.rpartition("-")
        env = {
            "MONGO_DB": self.database,
            "HOST": "127.0.0.1",
            "LIMITS": "off",
            "LOG_LEVEL": "info",
            **CHEAP_PASSWORDS,
            **self.ways_of(name),
        }
        if service == "gateway":
            env |= {"PORT": str(self._ports[int(number)]), "DRAIN_SECONDS": "0"}
        for key in ("*", service, name):
            env |= self.env.get(key, {})
        return env


class System(Fleet):
    """With a nats-server of its own, and a mongod that may be shared.

    To put a proxy before NATS for one gateway: `start_servers`, then `env["gateway-1"] = {"NATS_URL": …}`, then
    `launch_now(*system.names)`.

    A `secured` one has a user for each part on both servers, as in production; its mongod must be a SecuredMongod.
    """

    def __init__(
        self,
        directory: Path,
        mongod: Mongod | None = None,
        *,
        gateways: int = 2,
        replicas: Mapping[str, int] | None = None,
        argv: Mapping[str, Sequence[str]] | None = None,
        env: Mapping[str, Mapping[str, str]] | None = None,
        secured: bool = False,
    ) -> None:
        super().__init__(directory, gateways=gateways, replicas=replicas, argv=argv, env=env)
        self.mongod = mongod or (SecuredMongod if secured else Mongod)(directory)
        self.nats = (SecuredNats if secured else NatsServer)(directory)
        self.secured = secured
        self._own_mongod = mongod is None

    def start_servers(self) -> None:
        if self._own_mongod:
            self.mongod.start()
        self.nats.start()
        if self.secured:
            make_users(self.db.client, self.database)

    def stop_servers(self) -> None:
        self.nats.stop()
        if self._own_mongod:
            self.mongod.stop()

    def ways_of(self, name: str) -> dict[str, str]:
        if not self.secured:
            return {"MONGO_URL": self.mongod.url, "NATS_URL": self.nats.url}
        addresses = [f"127.0.0.1:{self.nats.port}"], [f"127.0.0.1:{self.mongod.port}"]
        return environment_of(name.rpartition("-")[0], *addresses, self.database)

    @property
    def mongo_url(self) -> str:
        return self.mongod.url


@dataclass(frozen=True)
class Person:
    """A registered user with one session."""

    id: str
    name: str
    password: str
    token: str


@dataclass(frozen=True)
class Room:
    """A server with its first channel: the owner on the first gateway, a member on the second."""

    server_id: str
    channel_id: str
    owner: Client
    member: Client
    owner_is: Person
    member_is: Person


@dataclass
class Known:
    """A user whom tests share one after the other."""

    person: Person
    uses: int = 0


class People:
    """Registers users and connects them; `close` ends all their connections.

    `known` is kept from test to test. Whoever of it is taken has servers and messages of other tests, in which
    nothing happens any more; a test that counts all a user has wants `register` and `room(new=True)`.
    """

    _numbers = itertools.count(1)
    _uses_of_one = 15

    def __init__(self, system: Fleet, known: dict[str, Known] | None = None) -> None:
        self.system = system
        self._known = {} if known is None else known
        self._clients: list[Client] = []
        self._devices: list[Device] = []

    async def register(self, name: str = "someone") -> Person:
        """A new user whose name begins so."""
        unique = f"{name}.{next(self._numbers)}"
        password = f"password of {unique}"
        made = await (await self.open()).call("register", name=unique, password=password)
        return Person(made["user"]["id"], unique, password, made["token"])

    async def several(self, *names: str) -> list[Person]:
        """Not so many at once that presence would refuse to hash all their passwords."""
        room = asyncio.Semaphore(_REGISTERED_AT_ONCE)

        async def come(name: str) -> Person:
            async with room:
                return await self.register(name)

        return await asyncio.gather(*(come(name) for name in names))

    async def anybody(self, name: str = "anybody") -> Person:
        """A user who may be known from other tests; another one for each name."""
        known = self._known.get(name)
        if known is None or known.uses >= self._uses_of_one:
            known = self._known[name] = Known(await self.register(name))
        known.uses += 1
        return known.person

    async def open(self, gateway: int = 0) -> Client:
        """A connection that has not authenticated."""
        client = await Client.connect(self.system.url(gateway))
        self._clients.append(client)
        return client

    async def connect(self, person: Person, gateway: int = 0) -> Client:
        """A connection of this user."""
        client = await self.open(gateway)
        await client.call("authenticate", token=person.token)
        return client

    async def device(self, person: Person, gateway: int = 0) -> Device:
        """A connection of this user with a complete cache."""
        self._devices.append(await Device.connect(self.system.url(gateway), person.id, person.token))
        return self._devices[-1]

    async def room(self, *, new: bool = False) -> Room:
        """Two users who share a new server, on two gateways."""
        known = self.register if new else self.anybody
        ann, bob = await asyncio.gather(known("ann"), known("bob"))
        first, second = await asyncio.gather(self.connect(ann, 0), self.connect(bob, 1))
        server_id = (await first.call("add_server", name="Tea house"))["id"]
        await join(first, second, server_id)
        return Room(server_id, await general(first, server_id), first, second, ann, bob)

    async def close(self) -> None:
        clients = self._clients + [device.client for device in self._devices]
        await asyncio.gather(*(client.close() for client in clients))


async def join(inviter: Client, joiner: Client, server_id: str) -> Document:
    """The joiner becomes a member by a new invite, and has heard so; returns the reply."""
    invite = await inviter.call("add_invite", server_id=server_id)
    joined: Document = await joiner.call("join_server", invite=invite["code"])
    await joiner.until(
        lambda: any(event.params["server"]["id"] == server_id for event in joiner.heard("server_added")),
        "server_added",
    )
    return joined


async def promote(room: Room, *rules: str, **changes: Any) -> Document:
    """A new role with these rules, which the member has from now on beside the others; returns the role."""
    role: Document = await room.owner.call("add_role", server_id=room.server_id, name="x", color="", rules=[*rules])
    named = {"server_id": room.server_id, "role_id": role["id"]}
    if changes:
        role = await room.owner.call("update_role", **named, changes=changes)
    mine = (await room.member.call("get_server", server_id=room.server_id))["me"]["roles"]
    await give(room, [*mine, role["id"]])
    return role


async def give(room: Room, roles: Sequence[str]) -> Document:
    """The member has these roles from now on, and no others."""
    named = {"server_id": room.server_id, "user_id": room.member_is.id}
    changed: Document = await room.owner.call("update_member", **named, changes={"roles": [*roles]})
    return changed


def entry(system: Fleet, scope: str, rev: int) -> list[Document]:
    """The events of one journal entry."""
    found = system.db.journal.find_one({"scope": scope, "rev": rev})
    assert found is not None, f"{scope} has no entry {rev}"
    events: list[Document] = found["events"]
    return events


def perm_rev(system: Fleet, server_id: str) -> int:
    server = system.db.servers.find_one({"_id": server_id})
    assert server is not None
    return int(server["perm_rev"])


async def general(client: Client, server_id: str) -> str:
    """The id of the server's first channel."""
    listed = await client.call("get_server_channels", server_id=server_id)
    return str(listed["categories"][0]["channels"][0]["id"])


async def eventually(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Looks until it holds: for what no event announces, such as a stored document."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        await asyncio.sleep(0.02)


async def refused(call: Awaitable[Any]) -> RpcError:
    """The error of a call that must fail."""
    try:
        result = await call
    except RpcError as error:
        return error
    raise AssertionError(f"not refused: {result}")


async def assert_dense(system: Fleet, scope: str, head: int | None = None) -> None:
    """The scope's entries are 1, 2, 3 … without a gap, up to `head`; and nothing stays in the outbox."""
    revs = [entry["rev"] for entry in system.db.journal.find({"scope": scope}).sort("rev", 1)]
    assert revs == list(range(1, len(revs) + 1))
    assert head is None or revs[-1:] == [head]
    await eventually(lambda: system.db.outbox.count_documents({}) == 0, "the outbox empties")
