"""Clients that know only the protocol, and notice whatever a client can notice.

Of every scope a client keeps one position: where its own copy stands. From an exact one (a reply or an event said
it) the next event must be the very next entry the client may see. Of a channel it has not read yet it knows only that
nothing committed after `authenticate` was answered may be missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from tests.model.gateways import Gateway, Socket
from tests.model.oracle import Committed, Oracle
from tests.model.replica import SERVER
from tests.model.world import World

_PATIENCE = 8.0
_READS_AT_ONCE = 3
_SERVER_SCOPE = f"server:{SERVER}"


class Lost(Exception):
    """The socket is closed."""


@dataclass(slots=True)
class Position:
    """`rev` is where the copy stands; until it is `exact`, the first event may also be older than that.

    `known` is how far nothing can be missing any more, by events or by a reply; `since` the number of the last question
    asked before it was put there.
    """

    rev: int
    exact: bool
    known: int
    since: int = 0


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
        self.positions: dict[str, Position] = {}
        self._world = world
        self._oracle = oracle
        self._gateways = gateways
        self._random = world.stream(f"client {name}")
        self._socket: Socket | None = None
        self._waiting: dict[int, _Question] = {}
        self._asked = 0
        self._tokens = 0

    @property
    def idle(self) -> bool:
        return self.ready and not self._waiting

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
        await self.ask("authenticate", {"token": self.user_id})
        if not self.ready:
            self._hang_up()
            await asyncio.sleep(self._random.uniform(0.02, 0.2))

    async def _reconnect(self) -> None:
        self._hang_up()

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
        if _SERVER_SCOPE in self.positions:
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
        mine = sorted(scope for scope in self.positions if scope.startswith("channel:"))
        return self._random.choice(mine).partition(":")[2] if mine else None

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The reply; an empty one when none came in time. Raises Lost."""
        if self._socket is None:
            raise Lost
        self._asked = asked = self._asked + 1
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
        self.positions.clear()
        for question in self._waiting.values():
            if not question.answer.done():
                question.answer.set_exception(Lost())

    # What it is told.

    def _receive(self, socket: Socket, frame: bytes) -> None:
        if socket is not self._socket:
            return
        message = orjson.loads(frame[frame.index(b"{") :])
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
                self._enter(result["current"])
            case "get_message_chunk":
                self._read(question, f"channel:{question.params['channel_id']}", result["rev"])
            case "get_server":
                self._read(question, _SERVER_SCOPE, result["rev"])

    def _enter(self, current: dict[str, int]) -> None:
        self.ready = True
        self.positions = {scope: self._at(rev) for scope, rev in current.items()}
        for channel, added in self._oracle.channels.items():
            if added <= current.get(_SERVER_SCOPE, 0):
                head = self._oracle.head(channel)
                self.positions[channel] = Position(head, exact=False, known=head)

    def _read(self, question: _Question, scope: str, rev: int) -> None:
        """A snapshot of the scope: older than no event, and followed by all that it does not hold.

        What was asked before the scope was entered (and left, and entered again) says nothing any more.
        """
        position = self.positions.get(scope)
        if position is None or question.number <= position.since:
            return
        if position.exact and rev < position.rev:
            self._world.fail(f"{self.name} is answered with {scope}@{rev}, but stood at {position.rev}")
        if not position.exact:
            position.rev = min(position.rev, rev)
        position.known = max(position.known, rev)

    def _hear(self, name: str, params: dict[str, Any]) -> None:
        scope, rev = params["scope"], params["rev"]
        self._world.note(self.name, f"is told {scope}@{rev} {name}")
        entry = self._oracle.entry(scope, rev)
        if entry is not None and name == "channel_added" and entry.adds != f"channel:{params['channel']['id']}":
            self._hear_early(entry, params)
            return
        if entry is None or entry.event["name"] != name:
            self._world.fail(f"{self.name} is told of {scope}@{rev} {name}, which is not committed")
            return
        self._check_place(entry)
        if scope.startswith("channel:"):
            self._check_sight(entry)
        self._move(name, params)

    def _hear_early(self, entry: Committed, params: dict[str, Any]) -> None:
        """Who is behind is told of what has come into its sight with the first entry that it missed."""
        channel, position = f"channel:{params['channel']['id']}", self.positions.get(entry.scope)
        if self._oracle.channels.get(channel, 0) < entry.rev or position is None or channel in self.positions:
            self._world.fail(f"{self.name} is told of {channel} at {entry.scope}@{entry.rev}, which it is not new at")
            return
        due = self._oracle.next_visible(entry.scope, position.rev, self.user_id, self.positions)
        if position.exact and due is not None and due.rev < entry.rev:
            self._world.fail(f"{self.name} is told of {entry.scope}@{entry.rev}, but its next is {due.rev}")
        if due is None or due.rev > entry.rev:  # else what the entry itself says is still to come
            position.rev = max(position.rev, entry.rev)
            position.known = max(position.known, entry.rev)
        self._move("channel_added", params)

    def _check_place(self, entry: Committed) -> None:
        position = self.positions.get(entry.scope)
        where = f"{self.name} is told of {entry.scope}@{entry.rev}"
        if position is None:
            self._world.fail(f"{where}, which it does not hold")
            return
        due = self._oracle.next_visible(entry.scope, position.rev, self.user_id, self.positions)
        expected = due.rev if due else None
        if position.exact and entry.rev != expected:
            self._world.fail(f"{where}, but its next is {expected}")
        if not position.exact and expected is not None and entry.rev > expected:
            self._world.fail(f"{where}, but may not have missed {expected}")
        self.positions[entry.scope] = Position(
            entry.rev, exact=True, known=max(position.known, entry.rev), since=position.since
        )

    def _check_sight(self, entry: Committed) -> None:
        """Behind the barrier: all that the client may see of the server's up to `perm_rev` was told before."""
        where = f"{self.name} is told of {entry.scope}@{entry.rev}"
        if self._oracle.was_gone(self.user_id, entry.version):
            self._world.fail(f"{where}, written when it was no member any more")
        server = self.positions.get(_SERVER_SCOPE)
        if server is None:
            self._world.fail(f"{where}, but is not in the server")
            return
        due = self._oracle.next_visible(_SERVER_SCOPE, server.rev, self.user_id, self.positions)
        if due is not None and due.rev <= entry.perm_rev:
            self._world.fail(f"{where}, judged under {entry.perm_rev}, before {_SERVER_SCOPE}@{due.rev}")

    def _move(self, name: str, params: dict[str, Any]) -> None:
        match name:
            case "server_added":
                self.positions.update({scope: self._at(rev) for scope, rev in params["scopes"].items()})
            case "server_deleted" | "member_deleted":
                self._leave_server()
            case "channel_added":
                self.positions[f"channel:{params['channel']['id']}"] = self._at(params["at"])

    def _at(self, rev: int) -> Position:
        return Position(rev, exact=True, known=rev, since=self._asked)

    def _leave_server(self) -> None:
        self.positions = {scope: each for scope, each in self.positions.items() if scope.startswith("self:")}

    # Whether all is well.

    def missing(self) -> list[str]:
        """What it should have been told by now, and was not."""
        if not self.ready:
            return [f"{self.name} is not connected"]
        wrong = [
            f"{self.name} stands at {position} of {scope}, missing {due.rev} of {self._oracle.head(scope)}"
            for scope, position in self.positions.items()
            if (due := self._oracle.next_visible(scope, position.known, self.user_id, self.positions)) is not None
        ]
        member = self._oracle.is_member(self.user_id)
        if member != (_SERVER_SCOPE in self.positions):
            wrong.append(f"{self.name} is {'' if member else 'no '}member, but does not know")
        if member:
            wrong.extend(f"{self.name} lacks {each}" for each in self._oracle.channels if each not in self.positions)
        return wrong
