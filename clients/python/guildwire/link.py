"""Keeps one authenticated connection, to one gateway or another, and says over each new one how far the cache is."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from guildwire.backoff import Backoff
from guildwire.cache.cache import Cache, Claim
from guildwire.errors import Disconnected, InvalidParams, LoggedOut, Refused, TurnedAway, Unauthenticated
from guildwire.refresher import Refresher
from guildwire.state import Phase, Status
from guildwire.wire import Connection, OnEvent, OnReply, OnRequest

TOKEN_REFUSED, SESSION_ENDED, ABUSE = 4001, 4002, 4009
AUTHENTICATE_LATE, TOO_SLOW = 4003, 4008
SAME_NODE_AGAIN = frozenset({AUTHENTICATE_LATE, TOO_SLOW, ABUSE})
"""Closed for what this client did, not for what the node is."""

ROUNDS_AFTER_ABUSE = 5
LASTED_SECONDS = 10.0
"""A connection that lasted so long was a good one: the next wait begins small again."""

CATCH_UP_SECONDS = 10.0
FINISH_SECONDS = 2.0
"""For the replies still under way when it is time to leave a node."""

LONGEST_NOTICE = 300.0
MOVE_LEAD = 0.1
"""Of the notice: so much before its end, at most, another node is looked for; and never more than"""
MOVE_LEAD_MOST = 1.0

FORGOTTEN_AT_ONCE = 100

Opener = Callable[[str, OnEvent, OnReply, OnRequest], Awaitable[Connection]]
"""Opens a connection to a URL, as `Connection.open` does."""

_log = logging.getLogger("guildwire")


class Link:
    """`focus` is what the app shows, as scopes: it is made current first."""

    def __init__(self, urls: Sequence[str], cache: Cache, status: Status, focus: Callable[[], Sequence[str]]) -> None:
        self._urls = list(urls)
        self._at = 0
        self._cache = cache
        self._status = status
        self._focus = focus
        self._backoff = Backoff(places=len(self._urls))
        self._told_to_wait = 0.0
        """By the node that turned us away."""
        self._leave_at: float | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._next: Connection | None = None
        """Open to another node, not authenticated yet: two at once would tell the cache everything twice."""
        self._replays = 0
        """Claims whose missed events are still to come; each ends with a `resumed`."""
        self._all_replayed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._forgetting: set[asyncio.Task[None]] = set()
        self._refresher = Refresher(cache, self._ask, focus)
        self._open: Opener = Connection.open
        cache.positions.on_stale = self._refresher.wake
        self.connection: Connection | None = None
        """Authenticated, and open as far as is known."""

    @property
    def url(self) -> str:
        return self._urls[self._at % len(self._urls)]

    @property
    def nodes(self) -> int:
        return len(self._urls)

    def next_url(self) -> None:
        self._at += 1

    def refresh(self) -> None:
        """The app shows something else."""
        self._refresher.wake()

    async def run(self, token: str) -> None:
        """Until it is cancelled, or raises LoggedOut."""
        refreshing = asyncio.create_task(self._refresher.run())
        try:
            while True:
                why = await self._live_once(token)
                if self._next is None:
                    await self._wait(why)
        finally:
            if self._next is not None:
                await self._next.close()
            refreshing.cancel()
            await asyncio.wait({refreshing})

    # One connection.

    async def _live_once(self, token: str) -> str:
        """Connects and stays; returns why it ended, as a sentence."""
        self._disconnected()
        self._leave_at = None
        self._expect_replays(0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection, self._next = self._next, None
        try:
            if connection is None:
                connection = await self._connect(self.url)
            await self._enter(connection, token)
            await connection.closed()
        except Unauthenticated as error:
            raise LoggedOut(error.message) from error
        except TurnedAway as error:
            # No sooner, and at no other node: where everybody has lost their sockets, all nodes are stormed. Each that
            # is told a time is expected at that time, and would take the place of another elsewhere.
            self._told_to_wait = min(error.retry_after, LONGEST_NOTICE)
            return str(error)
        except (Disconnected, Refused) as error:
            self._backoff_after(connection, lasted=False)
            return str(error)
        finally:
            self._disconnected()
            self._cache.disconnected()
            if connection is not None:
                await self._end(connection)
        self._backoff_after(connection, lasted=loop.time() - began > LASTED_SECONDS)
        return "The node is going away." if self._is_leaving() else connection.end

    async def _enter(self, connection: Connection, token: str) -> None:
        """Authenticates, resumes, and sees to it that what is shown becomes current."""
        claims = self._cache.claims(self._focus()) or [Claim()]
        epoch, resumes = self._cache.epoch, bool(claims[0].scopes)
        self._cache.claimed(claims)
        self._expect_replays(int(resumes))
        try:
            await connection.request("authenticate", {"token": token, **_resume(claims[0])})
        except InvalidParams:
            if not resumes:
                raise
            # A server that does not know `resume`: everything has to be asked for again.
            resumes = False
            self._expect_replays(0)
            self._cache.disconnected()
            await connection.request("authenticate", {"token": token})
        self.connection = connection
        returning = epoch == self._cache.epoch
        self._status.enter(Phase.RESUMING if returning else Phase.ONLINE, url=self.url)
        if returning:
            for claim in claims[1:] if resumes else ():
                await self._resume_more(connection, claim)
            await self._catch_up(connection)
            if self.connection is connection and connection.is_open:
                self._status.enter(Phase.ONLINE, url=self.url)
        self._refresher.wake()

    async def _resume_more(self, connection: Connection, claim: Claim) -> None:
        self._expect_replays(self._replays + 1)
        try:
            await connection.request("resume", _claimed(claim))
        except Refused as error:
            self._expect_replays(self._replays - 1)
            _log.info("Asking for %d scopes one by one: %s", len(claim.scopes), error)
            self._cache.settled({"current": {}, "stale": list(claim.scopes), "gone": []}, claim)

    async def _catch_up(self, connection: Connection) -> None:
        """Waits for the missed events and for what is shown; the rest follows in the background."""

        async def everything() -> None:
            await self._refresher.caught_up()
            await self._all_replayed.wait()

        tasks = {asyncio.create_task(everything()), asyncio.create_task(connection.closed())}
        try:
            await asyncio.wait(tasks, timeout=CATCH_UP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _expect_replays(self, amount: int) -> None:
        self._replays = max(amount, 0)
        if self._replays:
            self._all_replayed.clear()
        else:
            self._all_replayed.set()

    async def _end(self, connection: Connection) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        await connection.close()
        if connection.broken:
            self._cache.clear()

    # Between two of them.

    def _disconnected(self, why: str = "") -> None:
        """Both at once: who waits for a connection waits for a phase that has one."""
        self.connection = None
        self._status.enter(Phase.CONNECTING, url=self.url, why=why)

    def _backoff_after(self, connection: Connection | None, *, lasted: bool) -> None:
        """What the way it ended says about the next try; raises LoggedOut where there is none."""
        code = connection.close_code if connection is not None else None
        if code in {TOKEN_REFUSED, SESSION_ENDED}:
            raise LoggedOut("The session was ended." if code == SESSION_ENDED else "The token was refused.")
        if lasted:
            self._backoff.reset()
        if code == ABUSE:
            self._backoff.at_least(ROUNDS_AFTER_ABUSE)
        if code not in SAME_NODE_AGAIN and self._next is None:
            self.next_url()

    async def _wait(self, why: str) -> None:
        if self._leave_at is not None:
            delay = max(self._leave_at - asyncio.get_running_loop().time(), 0)
        else:
            delay = self._told_to_wait + self._backoff.next()
            self._told_to_wait = 0.0
        retry_at = datetime.now(UTC) + timedelta(seconds=delay)
        self._status.enter(Phase.OFFLINE, url=self.url, why=why, retry_at=retry_at)
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurry.wait()

    def hurry(self) -> None:
        """Ends the wait for the next try."""
        self._hurry.set()

    def _is_leaving(self) -> bool:
        return self._leave_at is not None

    def _told_to_leave(self, after: float) -> None:
        """Each connection of a node that drains gets its own delay, at whose end the node closes it."""
        if self._leave_at is None:
            self._leave_at = asyncio.get_running_loop().time() + after
            lead = random.uniform(0.5, 1) * min(after * MOVE_LEAD, MOVE_LEAD_MOST)  # noqa: S311 - spreads load
            self._leaving = asyncio.create_task(self._leave(after - lead))

    async def _leave(self, after: float) -> None:
        """Opens another first, if it can; is cancelled when the node is quicker."""
        await asyncio.sleep(after)
        connection = self.connection
        if connection is None:
            return
        await self._open_elsewhere()
        self._disconnected("The node is going away.")  # new requests wait for the next one
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await connection.idle()
        await connection.close()

    async def _open_elsewhere(self) -> None:
        """The node that is left comes last: behind its URL there may be others."""
        for step in range(1, len(self._urls) + 1):
            at = self._at + step
            with suppress(Disconnected):
                self._next = await self._connect(self._urls[at % len(self._urls)])
                self._at = at
                return

    async def _connect(self, url: str) -> Connection:
        return await self._open(url, self._on_event, self._on_reply, lambda: self._cache.reads.news)

    # What comes.

    def _on_event(self, name: str, params: Mapping[str, Any]) -> None:
        if name == "reconnect":
            self._told_to_leave(min(params["after_ms"] / 1000, LONGEST_NOTICE))
        elif name == "resumed":
            self._expect_replays(self._replays - 1)
        else:
            self._cache.event(name, params)

    def _on_reply(self, method: str, params: Mapping[str, Any], result: Any, asked: int) -> None:
        """In the order in which things came: the events right behind a reply build on it."""
        match method:
            case "authenticate":
                self._cache.authenticated(result, Claim(params.get("resume", {}), params.get("members", [])))
            case "resume":
                self._cache.settled(result, Claim(params["scopes"], params.get("members", [])))
            case _:
                self._cache.reply(method, params, result, asked)
                self._forget_surplus()

    def _forget_surplus(self) -> None:
        """Users that the cache let go of: we need not be told of them any more."""
        surplus, connection = self._cache.users.surplus, self.connection
        if connection is not None and len(surplus) >= FORGOTTEN_AT_ONCE:
            forgotten = surplus[:FORGOTTEN_AT_ONCE]
            del surplus[:FORGOTTEN_AT_ONCE]
            task = asyncio.create_task(_forget(connection, forgotten))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    async def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """For the refresher: over the present connection or not at all."""
        if self.connection is None:
            raise Disconnected("There is no connection.")
        return await self.connection.request(method, params)


async def _forget(connection: Connection, scopes: Sequence[str]) -> None:
    with suppress(Disconnected, Refused):
        await connection.request("forget", {"scopes": scopes})


def _resume(claim: Claim) -> dict[str, Any]:
    """What `authenticate` carries of a claim."""
    if not claim.scopes:
        return {}
    return {"resume": claim.scopes, **({"members": claim.members} if claim.members else {})}


def _claimed(claim: Claim) -> dict[str, Any]:
    return {"scopes": claim.scopes, **({"members": claim.members} if claim.members else {})}
