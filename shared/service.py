"""The service runner: binds handlers to their contracts and turns NATS requests into calls of them.

A handler reads *check, change, return*. A lost race runs the whole of it again; the first outcome of a nonce is
kept with the change, so a repeated request changes nothing and answers the same.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import orjson
import structlog
from pydantic import BaseModel, ValidationError

from shared import ids, process
from shared.affinity import ANNOUNCE_EVERY, alive_at, announced_at, subject_at
from shared.bus import Bus, Headers, Reply, Request
from shared.cascade import Cascades, batches_of
from shared.epoch import Epoch
from shared.errors import GuildwireError, Internal, InvalidParams, LostRace, Unavailable
from shared.journal import Journal, Origin
from shared.journal.history import AT_ONCE, read_heads_surely
from shared.journal.reader import read_entries, read_heads
from shared.lateness import Lateness
from shared.ownership import made_by
from shared.protocol import METHODS
from shared.protocol.contract import Method, Params
from shared.protocol.internal import READ_ENTRIES, READ_HEADS, Entries, Heads, ReadEntries, ReadHeads
from shared.rights import Rights
from shared.settings import Settings
from shared.store import Store, failure
from shared.telemetry import IN_FLIGHT, LOST_RACES, REFUSED, REQUESTS, bind, logger

_ATTEMPTS = 40
EXPIRED = "expired"
"""The status of a reply to what came so late that nobody waits for it any more."""

_PAUSE = 0.004
_PAUSE_MOST = 0.25

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=BaseModel)


@dataclass(slots=True)
class Call:
    """One run of a handler. `attempt` counts from 0; `scopes` are what the client will hold by this reply.

    `address` is whence somebody asks who registers, logs in or identifies.
    """

    user_id: str
    session_id: str
    origin: Origin
    address: str = ""
    attempt: int = 0
    scopes: dict[str, int] = field(default_factory=dict)
    rests_on: Callable[[], Awaitable[None]] | None = None
    """Raises LostRace once that has changed by which the request was judged; None as soon as an append required it."""

    def holds(self, scope: str, rev: int) -> None:
        """The reply carries a whole entity of this scope as of `rev`: its events follow from there."""
        self.scopes[scope] = rev

    def appended(self, outcome: R) -> R:
        """To be called with what an append has returned which required the same: nothing more is to be asked."""
        self.rests_on = None
        return outcome

    async def still_holds(self) -> None:
        """To be awaited before anything is told that no append stands for, be it a refusal."""
        rests_on, self.rests_on = self.rests_on, None
        if rests_on is not None:
            await rests_on()

    def is_done_already(self) -> None:
        """To be called before answering that what is to be added is there: by this very nonce, its outcome stands."""
        if self.origin.nonce and self.attempt == 0:
            raise LostRace


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers work with; made once per process."""

    settings: Settings
    store: Store
    bus: Bus
    journal: Journal
    rights: Rights
    epoch: Epoch


Handler = Callable[[Call, Any], Awaitable[BaseModel]]
Bound = Callable[[Any, Call, P], Awaitable[R]]


def handles(method: Method[P, R]) -> Callable[[Bound[P, R]], Bound[P, R]]:
    """Binds a handler to the method it serves; mypy holds its types to the contract's."""

    def bind_to(handler: Bound[P, R]) -> Bound[P, R]:
        handler.__dict__["handles"] = method
        return handler

    return bind_to


def handlers_of(service: str, owners: Sequence[object]) -> dict[str, tuple[Method[Any, Any], Handler]]:
    """The handlers of these objects by method name; raises when one is missing, doubled or another service's."""
    found: dict[str, tuple[Method[Any, Any], Handler]] = {}
    for owner in owners:
        for attribute in vars(type(owner)).values():
            method = getattr(attribute, "__dict__", {}).get("handles")
            if not isinstance(method, Method):
                continue
            if method.service not in {service, "journal"} or method.name in found:
                raise RuntimeError(f"{service} cannot bind {method.name} to {type(owner).__name__}")
            found[method.name] = (method, attribute.__get__(owner))
    missing = {method.name for method in METHODS.values() if method.service == service} - set(found)
    if missing:
        raise RuntimeError(f"{service} has no handler for {sorted(missing)}")
    return found


@runtime_checkable
class Chore(Protocol):
    """An object among the handlers that has work of its own beside the requests."""

    async def run(self) -> None: ...


class JournalReading:
    """Every service can read any scope's journal for a gateway that missed something."""

    def __init__(self, store: Store, epoch: Epoch) -> None:
        self._store = store
        self._epoch = epoch

    @handles(READ_HEADS)
    async def read_heads(self, _call: Call, params: ReadHeads) -> Heads:
        if params.surely:
            return Heads(heads=await read_heads_surely(self._store, self._epoch, params.scopes[:AT_ONCE]))
        heads = await read_heads(self._store, params.scopes)
        return Heads(heads={scope: head.rev for scope, head in heads.items()})

    @handles(READ_ENTRIES)
    async def read_entries(self, _call: Call, params: ReadEntries) -> Entries:
        return Entries(entries=await read_entries(self._store, params.scope, params.after, params.limit))


class Service:
    """One process of one domain service."""

    def __init__(self, name: str, settings: Settings, make: Callable[[Parts], Sequence[object]]) -> None:
        self._name = name
        store, bus = Store(settings), Bus(settings, name)
        rights, epoch = Rights(store, settings.rules_cache), Epoch(store)
        epoch.on_change.append(rights.forget_all)
        self._parts = Parts(settings, store, bus, Journal(store, bus, settings, name, epoch), rights, epoch)
        owners = [JournalReading(store, epoch), *make(self._parts)]
        self._handlers = handlers_of(name, owners)
        self._cascades = Cascades(store, name, settings.name, batches_of(owners))
        self._chores = [owner.run for owner in owners if isinstance(owner, Chore)]
        self._lateness = Lateness()
        self._doubted = asyncio.Event()
        """After a reconnect gateways should soon hear of it."""
        bus.on_doubt = lambda _why: self._doubted.set()
        self._serving = False
        self._instance = secrets.token_hex(6)

    @property
    def ready(self) -> bool:
        return self._serving

    async def start(self) -> None:
        await process.until_it_works("mongodb", lambda: self._parts.store.prepare(made_by(self._name)))
        await process.until_it_works("epoch", self._parts.epoch.read)
        await process.until_it_works("nats", self._parts.bus.connect)
        for method, handler in self._handlers.values():
            run = self._serve(method, handler)
            await self._parts.bus.serve(method.subject, method.service, run)
            await self._parts.bus.serve(subject_at(method.subject, self._instance), "", run)
        await self._parts.bus.stand_by(alive_at(self._name, self._instance))
        await process.until_it_works("nats", self._parts.bus.must_be_permitted)
        self._serving = True

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._parts.journal.run())
            group.create_task(self._cascades.run())
            group.create_task(self._announce())
            for run in self._chores:
                group.create_task(run())

    async def _announce(self) -> None:
        while self._serving:
            await self._say(f"{self._instance} {self._parts.bus.connection}")
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCE_EVERY):
                    await self._doubted.wait()
            self._doubted.clear()

    async def _say(self, words: str) -> None:
        try:
            await self._parts.bus.publish(announced_at(self._name), words.encode())
        except Unavailable:
            logger().debug("not_announced")

    async def drain(self) -> None:
        """Nobody is connected to it; what is asked of it meanwhile is answered as it stops."""

    async def stop(self) -> None:
        self._serving = False
        await self._say(f"-{self._instance}")
        await self._parts.bus.stop_serving()
        await self._parts.journal.settle()
        await self._parts.bus.close()
        self._parts.store.close()

    def _serve(self, method: Method[Any, Any], handler: Handler) -> Callable[[Request], Awaitable[Reply]]:
        async def serve(request: Request) -> Reply:
            return await self._answer(method, handler, request)

        return serve

    async def _answer(self, method: Method[Any, Any], handler: Handler, request: Request) -> Reply:
        structlog.contextvars.clear_contextvars()
        began, outcome = time.perf_counter(), "ok"
        IN_FLIGHT.inc()
        try:
            return await self._run(method, handler, request)
        except GuildwireError as error:
            outcome = error.reason
            return Reply.refusing(error)
        except Exception as error:  # noqa: BLE001 - a bug must become an answer and a log line, not a lost request
            known = failure(error)
            if known is not None:
                outcome = Unavailable.reason
                logger().warning("dependency_failed", method=method.name, error=str(error))
                return Reply.refusing(Unavailable())
            outcome = Internal.reason
            request_id = request.headers.get("request", "")
            logger().error("bug", method=method.name, exc_info=error)
            return Reply.refusing(Internal(request_id))
        finally:
            IN_FLIGHT.dec()
            REQUESTS.labels(method=method.name, outcome=outcome).observe(time.perf_counter() - began)

    async def _run(self, method: Method[Any, Any], handler: Handler, request: Request) -> Reply:
        headers = request.headers
        _bind_log(self._parts.settings.name, headers)
        deadline = self._deadline(headers)
        if time.monotonic() >= deadline:
            REFUSED.labels(why="expired").inc()
            return Reply(b"", {"status": EXPIRED})
        await self._same_history(headers.get("epoch", ""))
        try:
            params = method.params.model_validate_json(request.payload)
        except ValidationError as error:
            raise InvalidParams.from_validation(error) from None
        origin = Origin(_by(headers), deadline, _nonce_key(method, params, headers))
        call = Call(headers.get("user", ""), headers.get("session", ""), origin, headers.get("address", ""))
        try:
            result = await self._until_won(handler, call, params)
        except (GuildwireError, LostRace) as error:
            # A repeated request may fail where the first succeeded; the first outcome stands.
            first = await self._parts.journal.outcome(origin.nonce, latest=True) if origin.nonce else None
            if first is not None:
                return Reply(first, {"status": "ok", "epoch": self._parts.epoch.value})
            if isinstance(error, LostRace):
                raise Unavailable from error
            raise
        reply_headers = {"status": "ok", "epoch": self._parts.epoch.value}
        if call.scopes:
            reply_headers["scopes"] = orjson.dumps(call.scopes).decode()
        return Reply(result.model_dump_json().encode(), reply_headers)

    def _deadline(self, headers: Headers) -> float:
        """Until when somebody waits for the answer, on this process's clock."""
        now = time.monotonic()
        sender, _, sent = headers.get("sent", "").partition(" ")
        late = self._lateness.of(sender, int(sent) / 1000, now) if sent else 0
        return now + int(headers.get("deadline", "0")) / 1000 - late

    async def _same_history(self, asked: str) -> None:
        """A gateway that has seen another epoch has seen a newer one, or is about to see ours in the reply."""
        if asked and asked != self._parts.epoch.value:
            await self._parts.epoch.read()

    async def _until_won(self, handler: Handler, call: Call, params: Params) -> BaseModel:
        for attempt in range(_ATTEMPTS):
            call.attempt = attempt
            call.scopes.clear()
            call.rests_on = None
            try:
                return await _as_it_holds(handler, call, params)
            except LostRace:
                LOST_RACES.inc()
                if call.origin.nonce and await self._parts.journal.outcome(call.origin.nonce) is not None:
                    raise
                if call.origin.expired:
                    raise
                await asyncio.sleep(random.uniform(0, min(_PAUSE * 2**attempt, _PAUSE_MOST)))  # noqa: S311
        raise LostRace


async def _as_it_holds(handler: Handler, call: Call, params: Params) -> BaseModel:
    """The handler's outcome. Neither a reply nor a refusal may tell who has just lost sight what is there."""
    try:
        result = await handler(call, params)
    except Unavailable:
        raise
    except GuildwireError:
        await call.still_holds()
        raise
    await call.still_holds()
    return result


def run_service(name: str, make: Callable[[Parts], Sequence[object]]) -> None:
    """The composition root of a service: `make` builds the objects whose methods are its handlers."""
    process.run(name, lambda settings: Service(name, settings, make))


def request_headers(user_id: str, session_id: str, traceparent: str, within: float, epoch: str, sender: str) -> Headers:
    """What a gateway sends along with a request that must be answered within so many seconds of now."""
    return {
        "user": user_id,
        "session": session_id,
        "request": secrets.token_hex(8),
        "traceparent": traceparent,
        "deadline": str(int(within * 1000)),
        "sent": f"{sender} {int(time.monotonic() * 1000)}",
        "epoch": epoch,
    }


def _by(headers: Headers) -> dict[str, str]:
    by = {name: headers[name] for name in ("user", "session", "request") if headers.get(name)}
    return {**by, "trace": ids.trace_id(headers.get("traceparent", ""))}


def _bind_log(process_name: str, headers: Headers) -> None:
    bind(process=process_name, **_by(headers))


def _nonce_key(method: Method[Any, Any], params: Params, headers: Headers) -> str:
    nonce = getattr(params, "nonce", None)
    if nonce is None:
        return ""
    return f"{headers.get('user', '')}:{method.name}:{getattr(params, 'channel_id', '')}:{nonce}"
