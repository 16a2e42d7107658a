"""Requests from the gateway to the services behind it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from services.gateway.under_way import UnderWay, Waiting
from shared.affinity import Replicas, alive_at, announced_at, pick, subject_at
from shared.bus import Bus, Headers, NoResponders, Reply
from shared.errors import GuildwireError, Unavailable
from shared.ids import new_trace
from shared.journal.entry import Entry, from_document
from shared.journal.history import gone_back, lost
from shared.places import ON_ACCOUNT_OF
from shared.protocol import SERVICES
from shared.protocol.contract import Method, Params
from shared.protocol.internal import READ_ENTRIES, READ_HEADS, ReadEntries, ReadHeads
from shared.service import EXPIRED, request_headers
from shared.settings import Settings
from shared.telemetry import logger

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=BaseModel)

HEADS_PER_REQUEST = 200
_EPOCHS_REMEMBERED = 10
_LOOK_EVERY = 0.5


class Refused(Exception):
    """A service's own error object, to be passed on to the client as it is."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.error = error

    @property
    def reason(self) -> str:
        return str(self.error.get("data", {}).get("reason", ""))


class Upstream:
    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._bus = bus
        self._settings = settings
        self._replicas = Replicas()
        self._under_way = UnderWay()
        self._without_key = itertools.count()
        self._epochs: list[str] = [""]
        self._sender = secrets.token_hex(4)
        """By which services know whose clock it is."""
        self.on_new_epoch: Callable[[], None] = lambda: None

    @property
    def epoch(self) -> str:
        """The newest seen; empty before the first reply."""
        return self._epochs[-1]

    def patience(self, method: Method[Any, Any]) -> float:
        """Seconds a request may take. Reads get less: events wait for them."""
        return self._settings.read_timeout if method.reads else self._settings.request_timeout

    async def hear_replicas(self) -> None:
        """From now on knows which replicas there are."""
        for service in SERVICES:
            await self._bus.hear(announced_at(service), partial(self._hear_replica, service))

    def _hear_replica(self, service: str, announcement: bytes) -> None:
        self._replicas.hear(service, announcement.decode(errors="replace"), time.monotonic())

    async def run(self) -> None:
        """Ends what waits for a replica that will not answer it, for which it would else wait until its time is up."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await asyncio.gather(*(self._look_at(*each) for each in self._under_way.look().items()))

    async def _look_at(self, alive: str, waiting: Waiting) -> None:
        """Whether it lives, and hears as it did: what it was asked over an earlier connection to NATS is lost.

        One that only says nothing may answer yet.
        """
        try:
            connection = (await self._bus.request(alive, b"{}", {}, _LOOK_EVERY)).payload.decode(errors="replace")
        except NoResponders:
            logger().warning("replica_dead", replica=alive, requests=len(waiting))
            self._under_way.end(alive, waiting)
        except Unavailable:
            pass
        else:
            if lost := {limit: asked for limit, asked in waiting.items() if asked != connection}:
                logger().warning("replica_reconnected", replica=alive, requests=len(lost))
                self._under_way.end(alive, lost)

    async def forward(
        self,
        method: Method[Any, Any],
        payload: bytes,
        *,
        user_id: str,
        session_id: str,
        until: float,
        key: str | None = None,
        address: str = "",
        account: str = "",
    ) -> Reply:
        """Sends a client's params on as they are; `until` on this process's monotonic clock.

        `address` is whence who is not authenticated asks; `account` says whose share of a replica's places it takes.

        `key` is what the request is about: of all replicas the one it falls to is asked first. Raises Refused with
        the service's error, or Unavailable.
        """
        within = min(until - time.monotonic(), self.patience(method))
        if within <= 0:
            raise Unavailable
        headers = request_headers(user_id, session_id, new_trace(), within, self.epoch, self._sender)
        if address:
            headers["address"] = address
        if account:
            headers[ON_ACCOUNT_OF] = account
        reply = await self._request(method, payload, headers, within, key)
        match reply.headers.get("status"):
            case "ok":
                self.saw_epoch(reply.headers.get("epoch", ""))
                return reply
            case "error":
                raise Refused(orjson.loads(reply.payload))
            case status if status == EXPIRED:
                self._begin_anew(headers)
                raise Unavailable
            case _:
                raise Unavailable

    async def _request(
        self, method: Method[Any, Any], payload: bytes, headers: Headers, within: float, key: str | None
    ) -> Reply:
        """Asks the key's own replica, or any when that one is gone: only *no responders* proves that nothing ran.

        What has no key goes to any of them, but to a known one: so that it is known of each request who has it.
        """
        if self._settings.affinity == "on":
            instance = pick(
                key or str(next(self._without_key)), self._replicas.living(method.service, time.monotonic())
            )
            if instance is not None:
                try:
                    connection = self._replicas.connection_of(instance)
                    async with self._under_way.at(alive_at(method.service, instance), connection):
                        return await self._bus.request(subject_at(method.subject, instance), payload, headers, within)
                except NoResponders:
                    self._replicas.lose(method.service, instance)
        return await self._bus.request(method.subject, payload, headers, within)

    def _begin_anew(self, headers: Headers) -> None:
        """Too late for a service, but here in time: our clock has stood still, as it does while a machine sleeps.

        What services know of it is wrong then, and would be for long.
        """
        if headers["sent"].startswith(self._sender):
            self._sender = secrets.token_hex(4)
            logger().warning("clock_stood_still")

    def saw_epoch(self, epoch: str) -> None:
        """Takes note of the epoch a reply was made in; raises Unavailable for one that is past."""
        if epoch == self.epoch:
            return
        if epoch in self._epochs:
            raise Unavailable
        first = not self.epoch
        self._epochs = [*self._epochs[-_EPOCHS_REMEMBERED:], epoch]
        if not first:
            logger().error("epoch_changed", now=epoch)
            self.on_new_epoch()
            raise Unavailable

    async def call(self, method: Method[P, R], params: P, user_id: str = "") -> R:
        """A question of the gateway's own. Raises as `forward` does."""
        until = time.monotonic() + self._settings.read_timeout
        # Defaults are left out: a replica of the version before does not know the newest params.
        payload = params.model_dump_json(exclude_defaults=True).encode()
        reply = await self.forward(method, payload, user_id=user_id, session_id="", until=until)
        return method.result.model_validate_json(reply.payload, extra="ignore")

    async def heads(self, scopes: list[str], *, surely: bool = False) -> dict[str, int]:
        """The revision of each scope, of HEADS_PER_REQUEST at most; `surely`: of the first few, by a majority."""
        return (await self.call(READ_HEADS, ReadHeads(scopes=scopes, surely=surely))).heads

    async def compare(self, revs: Mapping[str, int]) -> dict[str, int]:
        """The revision of each scope that was seen to come so far. Raises HistoryLost where one went back."""
        epoch = self.epoch
        heads = await self.heads(list(revs)) if revs else {}
        if missing := gone_back(revs, heads):
            certain = await self.heads(sorted(missing), surely=True)
            missing = gone_back({scope: missing[scope] for scope in certain}, certain)
            if missing and self.epoch == epoch:
                raise lost(missing, certain)
        return heads

    async def entries(self, scope: str, after: int) -> list[Entry]:
        """The journal's entries after a revision, in order; not always all of them."""
        found = await self.call(READ_ENTRIES, ReadEntries(scope=scope, after=after))
        return [entry for entry in map(from_document, found.entries) if isinstance(entry, Entry)]


TROUBLE = (GuildwireError, Refused)
"""What a question to a service can end in; the answer is to ask again later."""
