"""One connection's requests: in the order sent where they name the same thing, side by side where not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from services.gateway import frames
from services.gateway.accounts import account_of
from services.gateway.connection import EVERYTHING, Connection
from services.gateway.entrance import Entrance
from services.gateway.heard_users import HeardUsers
from services.gateway.interest import Interest
from services.gateway.jsonrpc import Frame, Incoming, parse
from services.gateway.limits import ABUSE, ConnectionLimits, Limits
from services.gateway.sessions import SESSION_ENDED
from services.gateway.upstream import Refused, Upstream
from shared.affinity import key_of
from shared.bus import Reply
from shared.errors import GuildwireError, Internal, InvalidParams, Unauthenticated, Unavailable
from shared.ids import new_id
from shared.protocol.account import (
    AUTHENTICATE,
    DELETE_SESSION,
    DELETE_USER,
    GET_USERS,
    LOGIN,
    LOGOUT,
    REGISTER,
    UPDATE_USER,
    Authenticate,
    Forget,
    Pong,
    Resume,
)
from shared.protocol.connection import Resumed
from shared.protocol.contract import Empty, Method, Params
from shared.protocol.server import GET_SERVER
from shared.settings import Settings
from shared.telemetry import REPLIES, logger

TOKEN_REFUSED = 4001
_REPLY_LIMIT = 512 << 10
_ASK_AGAIN = 0.02
_READS_AT_ONCE = 4
_BATCH_REPLY_LIMIT = 2 << 20
_TOO_MUCH = Unavailable("The answers to this batch are too large together; ask again in smaller ones.")


@dataclass(frozen=True, slots=True)
class Parts:
    """What all connections of a gateway share."""

    settings: Settings
    upstream: Upstream
    interest: Interest
    users: HeardUsers
    entrance: Entrance
    limits: Limits


@dataclass(slots=True)
class _Turn:
    """A request's place behind those that named the same things before it."""

    before: list[asyncio.Future[None]]
    done: asyncio.Future[None]
    keys: tuple[str, ...]
    anonymous: bool
    """It came before it was known who sends it."""


@dataclass(slots=True)
class _Budget:
    """Bytes that the answers of one frame may still have together."""

    left: int


@dataclass(slots=True)
class _Outcome:
    """A reply, and what is to follow once it has been handed over."""

    reply: bytes | None = None
    holds: list[str] = field(default_factory=list)
    scopes: dict[str, int] = field(default_factory=dict)
    close: int | None = None
    resumes: bool = False


class Dispatcher:
    """`on_allowed` is called for each request that may run before `authenticate`."""

    def __init__(
        self, connection: Connection, parts: Parts, limits: ConnectionLimits, on_allowed: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._parts = parts
        self._on_allowed = on_allowed
        self._room = asyncio.Semaphore(parts.settings.connection_requests)
        # Pages are large: few at a time, so that what waits for a slow client stays small.
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._tails: dict[str, asyncio.Future[None]] = {}
        self._authenticating: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, text: str) -> None:
        """Takes one frame; returns when the next may be read."""
        await self._connection.has_room()
        frame = self._limited(parse(text))
        turns: list[_Turn] = []
        for request in frame.requests:
            await self._room.acquire()
            turns.append(self._turn(request))
        self._start(self._run(frame, turns))
        if self._limits.abused:
            self._connection.close(ABUSE)

    def _limited(self, frame: Frame) -> Frame:
        """As it was sent, but for what is beyond the limits."""
        refusals = [self._limits.refusal(request, self._connection.user_id) for request in frame.requests]
        if not any(refusals):
            return frame
        pairs = zip(frame.requests, refusals, strict=True)
        return replace(frame, requests=[replace(each, error=why) if why else each for each, why in pairs])

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Waits until all that was taken is answered."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def end(self) -> None:
        """Ends what is under way; a task may well finish in spite of it, so that is waited for."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, frame: Frame, turns: list[_Turn]) -> None:
        until = time.monotonic() + self._parts.settings.request_timeout
        budget = _Budget(_BATCH_REPLY_LIMIT)
        pairs = zip(frame.requests, turns, strict=True)
        outcomes = await asyncio.gather(*(self._take_turn(request, turn, until, budget) for request, turn in pairs))
        replies = [outcome.reply for outcome in outcomes if outcome.reply is not None]
        connection = self._connection
        if replies:
            connection.reply(frames.text_frame(b"[" + b",".join(replies) + b"]" if frame.batch else replies[0]))
        for outcome in outcomes:
            users = {name[5:]: rev for name, rev in outcome.scopes.items() if name.startswith("user:")}
            self._parts.users.hear(connection, users)
        # Only now: what was held back is newer than the reply.
        connection.release(hold for outcome in outcomes for hold in outcome.holds)
        for outcome in outcomes:
            if outcome.resumes:
                self._start(self._say_resumed())
            if outcome.close is not None:
                connection.close(outcome.close)

    async def _say_resumed(self) -> None:
        await self._connection.caught_up.wait()
        self._connection.reply(frames.notification(Resumed.name, Resumed().model_dump()))

    # Order.

    def _turn(self, request: Incoming) -> _Turn:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = tuple({*request.named_scopes, *self._reads(request)} - {EVERYTHING})
        before = [self._tails[key] for key in keys if key in self._tails]
        if self._authenticating is not None and not self._authenticating.done():
            before.append(self._authenticating)
        if request.method is AUTHENTICATE:
            self._authenticating = done
        for key in keys:
            self._tails[key] = done
        return _Turn(before, done, keys, anonymous=not self._connection.user_id)

    async def _take_turn(self, request: Incoming, turn: _Turn, until: float, budget: _Budget) -> _Outcome:
        try:
            if turn.before:
                await asyncio.wait(turn.before)
            async with self._reading if request.method and request.method.reads else contextlib.nullcontext():
                await self._connection.has_room()
                return await self._answer(self._paid_by_user(request, turn), until, budget)
        finally:
            turn.done.set_result(None)
            for key in turn.keys:
                if self._tails.get(key) is turn.done:
                    del self._tails[key]
            self._room.release()

    def _paid_by_user(self, request: Incoming, turn: _Turn) -> Incoming:
        user_id = self._connection.user_id
        if not (turn.anonymous and user_id) or request.error is not None:
            return request
        return replace(request, error=self._limits.late_refusal(request, user_id))

    # One request.

    async def _answer(self, request: Incoming, until: float, budget: _Budget) -> _Outcome:
        outcome = _Outcome()
        began, reason = time.perf_counter(), "ok"
        try:
            payload = await self._perform(request, until, outcome)
            reply = frames.result(request.request_id, payload)
        except Refused as refused:
            reason = refused.reason
            reply = frames.failure(request.request_id, refused.error)
        except GuildwireError as error:
            reason = error.reason
            reply = frames.failure(request.request_id, error.wire())
        except Exception as error:  # noqa: BLE001 - a bug must become an answer and a log line
            reason, request_id = Internal.reason, new_id()
            logger().error("bug", request=request_id, exc_info=error)
            reply = frames.failure(request.request_id, Internal(request_id).wire())
        if request.method is AUTHENTICATE and reason == Unauthenticated.reason:
            outcome.close = TOKEN_REFUSED
        name = request.method.name if request.method else ""
        REPLIES.labels(method=name, reason=reason).observe(time.perf_counter() - began)
        budget.left -= len(reply)
        if budget.left < 0:
            reply = frames.failure(request.request_id, _TOO_MUCH.wire())
        if request.answered:
            outcome.reply = reply
        else:
            outcome.scopes.clear()
        return outcome

    async def _perform(self, request: Incoming, until: float, outcome: _Outcome) -> bytes:
        if request.error is not None:
            raise request.error
        method = request.method
        assert method is not None  # noqa: S101 - without a method there is an error
        if not self._connection.user_id:
            if not _may_enter(method, request.params):
                raise Unauthenticated("Authenticate first.")
            self._on_allowed()
        if method.service == "gateway":
            return (await self._serve(method, request, until, outcome)).model_dump_json().encode()
        if method.loads_members:
            return await self._load_members(method, request, until, outcome)
        return await self._ask_service(method, request, until, outcome)

    async def _load_members(
        self, method: Method[Any, Any], request: Incoming, until: float, outcome: _Outcome
    ) -> bytes:
        loaded, server_id = self._connection.loaded_members, str(request.params.get("server_id"))
        if server_id in loaded:
            return await self._ask_service(method, request, until, outcome)
        # Before it is asked: what happens while it is under way is held back, not missed.
        loaded.add(server_id)
        try:
            return await self._ask_service(method, request, until, outcome)
        except BaseException:
            loaded.discard(server_id)
            raise

    async def _ask_service(self, method: Method[Any, Any], request: Incoming, until: float, outcome: _Outcome) -> bytes:
        reply = await (self._log_out if self._ends_own(request) else self._ask)(method, request, until, outcome)
        if len(reply.payload) > _REPLY_LIMIT:
            raise RuntimeError(f"{method.name} answered with {len(reply.payload)} bytes")
        outcome.scopes = orjson.loads(reply.headers.get("scopes", "{}"))
        return reply.payload

    async def _serve(self, method: Method[Any, Any], request: Incoming, until: float, outcome: _Outcome) -> BaseModel:
        """What the gateway answers itself."""
        params = _validated(method, request.params)
        match params:
            case Authenticate():
                self._hold([EVERYTHING], outcome)
                entered = await self._parts.entrance.authenticate(self._connection, params, until, self._limits.address)
                outcome.resumes = params.resume is not None
                return entered
            case Resume():
                self._hold([EVERYTHING], outcome)
                resumed = await self._parts.entrance.resume(self._connection, params, until)
                outcome.resumes = True
                return resumed
            case Forget():
                self._parts.users.forget(self._connection, params.scopes)
                return Empty()
            case _:
                return Pong(time=time.time_ns() // 1_000_000)

    def _ends_own(self, request: Incoming) -> bool:
        """Whether it ends the session of this very socket."""
        mine = request.params.get("session_id") == self._connection.session_id
        return request.method in {LOGOUT, DELETE_USER} or (request.method is DELETE_SESSION and mine)

    async def _log_out(self, method: Method[Any, Any], request: Incoming, until: float, outcome: _Outcome) -> Reply:
        """Ends the session; this socket closes after the reply, not at the word that all others close at."""
        self._connection.logging_out = True
        try:
            reply = await self._ask(method, request, until, outcome)
        except BaseException:
            self._connection.logging_out = False
            raise
        outcome.close = SESSION_ENDED
        return reply

    async def _ask(self, method: Method[Any, Any], request: Incoming, until: float, outcome: _Outcome) -> Reply:
        """Asks the service; again, when a read answers with less than this connection has already been told."""
        connection = self._connection
        self._hold(self._reads(request), outcome)
        told = self._told(outcome.holds)
        try:
            payload = orjson.dumps(request.params)
        except TypeError:
            raise InvalidParams.of("params", "are nested too deeply") from None
        while True:
            reply = await self._parts.upstream.forward(
                method,
                payload,
                user_id=connection.user_id,
                session_id=connection.session_id,
                until=until,
                key=key_of(request.params) or self._password_of(request),
                address=self._limits.address if method.entrance else "",
                account=account_of(connection, request.params, self._parts.interest) or self._limits.address,
            )
            if not _is_older(reply, told):
                return reply
            if time.monotonic() + _ASK_AGAIN > until:
                raise Unavailable
            await asyncio.sleep(_ASK_AGAIN)

    def _password_of(self, request: Incoming) -> str | None:
        """Whose password may be tried: all tries of one fall to one replica, which counts them."""
        if request.method in {LOGIN, REGISTER}:
            return _texts(request.params).get("name")
        return self._connection.user_id if request.method in {UPDATE_USER, DELETE_USER} else None

    def _told(self, scopes: list[str]) -> dict[str, int]:
        """How far this connection has been told of each scope; of all its servers when it may be any."""
        if EVERYTHING in scopes:
            feeds = [feed for feed in self._connection.feeds if feed.scope.kind == "server"]
        else:
            feeds = [feed for name in scopes if (feed := self._parts.interest.feed(name)) is not None]
        return {feed.scope.name: self._parts.entrance.place_of(self._connection, feed) for feed in feeds}

    def _reads(self, request: Incoming) -> list[str]:
        """The scope whose events must wait for this request's reply."""
        method = request.method
        if method is None or not method.name.startswith("get_"):
            return []
        params = request.params
        if method is GET_SERVER and "invite" in params:
            return [EVERYTHING]
        if method is GET_USERS:
            users = params.get("users")
            return [f"user:{each}" for each in users] if isinstance(users, dict) else []
        mine, texts = self._connection.user_id, _texts(params)
        if "{server_of}" in method.reads:
            channel = self._parts.interest.feed(f"channel:{texts.get('channel_id')}")
            if channel is None:
                return [EVERYTHING]  # of whatever server it is
            texts["server_of"] = channel.scope.within
        return [method.reads.format_map({"me": mine, "user_id": mine, "server_id": "", "channel_id": "", **texts})]

    def _hold(self, scopes: list[str], outcome: _Outcome) -> None:
        self._connection.hold(scopes)
        outcome.holds.extend(scopes)


def _validated(method: Method[Any, Any], params: dict[str, Any]) -> Params:
    try:
        validated: Params = method.params.model_validate(params)
        return validated
    except ValidationError as error:
        raise InvalidParams.from_validation(error) from None


def _may_enter(method: Method[Any, Any], params: dict[str, Any]) -> bool:
    return method.entrance or (method is GET_SERVER and params.get("invite") is not None)


def _texts(params: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in params.items() if isinstance(value, str)}


def _is_older(reply: Reply, told: dict[str, int]) -> bool:
    scopes: dict[str, int] = orjson.loads(reply.headers.get("scopes", "{}"))
    return any(rev < told.get(name, 0) for name, rev in scopes.items())
