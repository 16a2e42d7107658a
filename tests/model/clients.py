"""Clients that know only the protocol. They read, write, come and go, and come back to where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from tests.model.caches import SERVER_SCOPE, Cache, Resuming
from tests.model.events import SERVER
from tests.model.gateways import Gateway, Socket
from tests.model.oracle import Oracle
from tests.model.world import World

_PATIENCE = 8.0
_READS_AT_ONCE = 3
_ASKS_AGAIN = 0.2


class Lost(Exception):
    """The socket is closed."""


@dataclass(eq=False, slots=True)
class _Question:
    number: int
    method: str
    params: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]


class Client:
    """One device of a user. It acts until the weather clears up, and stays connected for as long as it can."""

    def __init__(
        self, world: World, oracle: Oracle, gateways: Callable[[], list[Gateway]], name: str, user_id: str
    ) -> None:
        self.name = name
        self.user_id = user_id
        self.ready = False
        self.cache = Cache(world, oracle, name, user_id)
        self._resuming: Resuming | None = None
        self._world = world
        self._oracle = oracle
        self._gateways = gateways
        self._random = world.stream(f"client {name}")
        self._socket: Socket | None = None
        self._waiting: dict[int, _Question] = {}
        self._tokens = 0

    @property
    def idle(self) -> bool:
        return self.ready and not self._waiting

    def missing(self) -> list[str]:
        """What it should have been told by now, and was not."""
        if not self.ready:
            return [f"{self.name} is not connected"]
        if self._resuming is not None:
            return [f"{self.name} was not told that it has resumed"]
        return self.cache.missing()

    # What it does.

    async def live(self) -> None:
        world = self._world
        acts = world.profile.acts
        while True:
            try:
                if not self.ready:
                    await self._connect()
                await asyncio.sleep(self._random.expovariate(1 / world.profile.think))
                if world.busy:
                    (act,) = self._random.choices(list(acts), list(acts.values()))
                    await self._act(act)
            except Lost:
                await asyncio.sleep(self._random.uniform(0, 0.1))
                if world.profile.away and world.busy:
                    await asyncio.sleep(self._random.expovariate(1 / world.profile.away))

    async def _act(self, act: str) -> None:
        """Waits for the answer, unless it is to a read: those are under way beside whatever comes next."""
        if not act.startswith("get_"):
            await getattr(self, f"_{act}")()
        elif len(self._waiting) < _READS_AT_ONCE:
            self._world.loop.create_task(self._read_beside(act))

    async def _read_beside(self, act: str) -> None:
        try:
            await getattr(self, f"_{act}")()
        except Lost:
            return

    async def _connect(self) -> None:
        gateway = self._random.choice(self._gateways())
        self._world.note(self.name, f"connects to {gateway.process.name}")
        self._socket = socket = Socket(self._world, gateway, lambda frame: self._receive(socket, frame), self._lost)
        await self._authenticate()
        if not self.ready:
            self._hang_up()
            await asyncio.sleep(self._random.uniform(0.02, 0.2))

    async def _authenticate(self) -> None:
        """With what it holds, as much of it as fits into one frame; the rest follows."""
        profile, claims = self._world.profile, self.cache.claims()
        if not claims or not profile.resumes or self._random.random() > profile.resumes:
            await self.ask("authenticate", {"token": self.user_id})
            return
        first = {scope: at for scope, at in claims.items() if self._random.random() > profile.piecemeal}
        first[self.cache.mine] = claims[self.cache.mine]
        await self.ask("authenticate", {"token": self.user_id, "resume": first})
        if not self.ready or self._resuming is None:
            return
        self._ask_for_stale(first)
        while rest := [*self._resuming.pending]:
            await asyncio.sleep(self._random.uniform(0, 0.1))
            more = {scope: claims[scope] for scope in self._random.sample(rest, min(2, len(rest)))}
            if "result" not in await self.ask("resume", {"scopes": more}):
                await asyncio.sleep(_ASKS_AGAIN)
            self._ask_for_stale(more)

    def _ask_for_stale(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            if (position := self.cache.positions.get(scope)) and position.stale and not self._is_pending(scope):
                self._world.loop.create_task(self._ask_for(scope))

    def _is_pending(self, scope: str) -> bool:
        return self._resuming is not None and scope in self._resuming.pending

    async def _ask_for(self, scope: str) -> None:
        """Until it is answered, or it turns out to be gone, or the socket is lost."""
        kind, _, id_ = scope.partition(":")
        method, params = {
            "self": ("get_servers", {}),
            "server": ("get_server", {"server_id": id_}),
            "channel": ("get_message_chunk", {"channel_id": id_}),
        }[kind]
        try:
            while (position := self.cache.positions.get(scope)) and position.stale:
                await self.ask(method, params)
                await asyncio.sleep(_ASKS_AGAIN)
        except Lost:
            return

    async def _reconnect(self) -> None:
        self._hang_up()

    async def _stall(self) -> None:
        """Reads nothing for a while."""
        if self._socket is not None:
            self._socket.stall(self._random.uniform(0.2, 1.5))

    async def _add_message(self) -> None:
        await self.write_somewhere()

    async def _get_message_chunk(self) -> None:
        if channel := self._some_channel():
            await self.ask("get_message_chunk", {"channel_id": channel})

    async def _get_server(self) -> None:
        await self.ask("get_server", {"server_id": SERVER})

    async def _add_channel(self) -> None:
        self._tokens += 1
        await self.ask("add_channel", {"server_id": SERVER, "name": f"{self.name}-{self._tokens}"})

    async def _join_or_leave(self) -> None:
        if self.user_id == "owner":
            return
        if self.cache.is_in_server:
            await self.ask("leave_server", {"server_id": SERVER})
        else:
            await self.ask("join_server", {"invite": SERVER})

    async def write_somewhere(self) -> bool:
        """Adds a message; True when it was acknowledged, or when there is nowhere to write."""
        channel = self._some_channel()
        if channel is None:
            return True
        self._tokens += 1
        token = f"{self.name}#{self._tokens}"
        reply = await self.ask("add_message", {"channel_id": channel, "content": token})
        if "result" in reply:
            self._oracle.acknowledged(token, reply["result"]["scope"], reply["result"]["rev"])
        return "result" in reply or reply.get("error", {}).get("data", {}).get("reason") == "not_found"

    def _some_channel(self) -> str | None:
        mine = sorted(scope for scope in self.cache.positions if scope.startswith("channel:"))
        return self._random.choice(mine).partition(":")[2] if mine else None

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The reply; an empty one when none came in time. Raises Lost."""
        if self._socket is None:
            raise Lost
        self.cache.asked = asked = self.cache.asked + 1
        question = self._waiting[asked] = _Question(asked, method, params, self._world.loop.create_future())
        self._world.note(self.name, f"asks {asked}: {method} {params}")
        self._socket.send(orjson.dumps({"jsonrpc": "2.0", "id": asked, "method": method, "params": params}).decode())
        try:
            async with asyncio.timeout(_PATIENCE):
                return await question.answer
        except TimeoutError:
            self._world.fail(f"{self.name} never got an answer to {method}")
            return {}
        finally:
            self._waiting.pop(asked, None)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._world.note(self.name, "hangs up")
            self._socket.close()
        self._lost()

    def _lost(self) -> None:
        self._socket = None
        self.ready = False
        self._resuming = None
        if not self._world.profile.resumes:
            self.cache.clear()
        for question in self._waiting.values():
            if not question.answer.done():
                question.answer.set_exception(Lost())

    # What it is told.

    def _receive(self, socket: Socket, frame: bytes) -> None:
        if socket is not self._socket:
            return
        message = orjson.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])
        if "method" in message:
            self._hear(message["method"], message["params"])
            return
        what = message.get("result") or message.get("error")
        self._world.note(self.name, f"gets answer {message['id']}: {what}")
        question = self._waiting.get(message["id"])
        if question is None or question.answer.done():
            return
        question.answer.set_result(message)
        if "result" in message:
            self._apply(question, message["result"])

    def _apply(self, question: _Question, result: dict[str, Any]) -> None:
        match question.method:
            case "authenticate":
                self.ready = True
                self._enter(question.params.get("resume"), result)
            case "resume":
                assert self._resuming is not None
                self._resuming.go_on(question.params["scopes"], result)
            case "get_servers":
                self.cache.answered_servers(result["rev"], member=result["member"], asked=question.number)
            case "get_message_chunk" | "get_server":
                self.cache.answered(self._scope_of(question), result["rev"], question.number)

    def _enter(self, claims: dict[str, int] | None, result: dict[str, Any]) -> None:
        if claims is None:
            self.cache.enter(result["current"])
            return
        rest = self.cache.claims().keys() - claims.keys()
        self._resuming = Resuming(self._oracle, self.cache)
        self._resuming.begin(claims, result, sorted(rest))

    def _scope_of(self, question: _Question) -> str:
        """What a question is about; empty for what is no read."""
        match question.method:
            case "get_servers":
                return self.cache.mine
            case "get_server":
                return SERVER_SCOPE
            case "get_message_chunk":
                return f"channel:{question.params['channel_id']}"
            case _:
                return ""

    def _hear(self, name: str, params: dict[str, Any]) -> None:
        self._world.note(self.name, f"is told {name} {params}")
        if name != "resumed":
            if self._resuming is not None:
                self._resuming.heard(params["scope"], params["rev"])
            self.cache.hear(name, params)
        elif self._resuming is None:
            self._world.fail(f"{self.name} is told that it has resumed what it has not")
        elif not self._resuming.done([self._scope_of(question) for question in self._waiting.values()]):
            self._resuming = None
