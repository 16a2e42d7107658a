"""A gateway that does as it is told: for what a real one does only when something is wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from tests.clients.wire import ME, SELF, Json, authenticated

Answer = Callable[["Session", Json], Awaitable[Json | None]]


class Refuse(Exception):
    """An error to answer with."""

    def __init__(self, code: int, reason: str, **data: Any) -> None:
        super().__init__(reason)
        self.error = {"code": code, "message": f"It is {reason}.", "data": {"reason": reason, **data}}


class Session:
    """One connection of a client, and what it asked."""

    def __init__(self, gateway: Gateway, socket: ServerConnection) -> None:
        self.gateway = gateway
        self.socket = socket
        self.asked: list[tuple[str, Json]] = []

    async def tell(self, name: str, **params: Any) -> None:
        await self.socket.send(json.dumps({"jsonrpc": "2.0", "method": name, "params": params}))

    async def close(self, code: int) -> None:
        await self.socket.close(code)

    def drop(self) -> None:
        """As a lost network does."""
        self.socket.transport.abort()

    async def run(self) -> None:
        async for text in self.socket:
            request = json.loads(text)
            self.asked.append((request["method"], request["params"]))
            answer = self.gateway.answers.get(request["method"])
            try:
                result = await answer(self, request["params"]) if answer else {}
            except Refuse as refused:
                await self._send({"id": request["id"], "error": refused.error})
            else:
                if result is not None:
                    await self._send({"id": request["id"], "result": result})

    async def _send(self, frame: Json) -> None:
        await self.socket.send(json.dumps({"jsonrpc": "2.0", **frame}))


class Gateway:
    """`answers` by method; an answer that returns None says nothing. Everything else is answered with ``{}``."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {"authenticate": all_current, "resume": all_current, **answers}
        self.sessions: list[Session] = []
        self.arrived = asyncio.Event()
        self.turns_away: list[str] = []
        """What it says in `Retry-After` to those who come first."""
        self.turned_away = 0
        self._server: Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, process_request=self._turn_away)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"
        return self

    def _turn_away(self, connection: ServerConnection, _request: Request) -> Response | None:
        if self.turned_away == len(self.turns_away):
            return None
        response = connection.respond(503, "Come again.")
        for said in self.turns_away[self.turned_away].split():
            response.headers["Retry-After"] = said
        self.turned_away += 1
        return response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def session(self, number: int) -> Session:
        """The connection of this number, counted from 0, once it has come."""
        async with asyncio.timeout(5):
            while len(self.sessions) <= number:
                self.arrived.clear()
                await self.arrived.wait()
        return self.sessions[number]

    def asked(self, method: str) -> list[Json]:
        """The params of all requests of a method, over all connections."""
        return [params for session in self.sessions for name, params in session.asked if name == method]

    async def _serve(self, socket: ServerConnection) -> None:
        session = Session(self, socket)
        self.sessions.append(session)
        self.arrived.set()
        await session.run()


async def all_current(session: Session, params: Json) -> Json:
    """Nothing was missed, of whatever it claims."""
    claimed = params.get("resume", params.get("scopes"))
    if claimed is not None:
        await session.tell("resumed")
    return authenticated(claimed or {SELF: 1, f"user:{ME}": 1})
