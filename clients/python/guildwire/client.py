"""The client: every method of the protocol, a cache that follows, a connection that comes back."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from guildwire import images
from guildwire.backoff import Backoff
from guildwire.cache.cache import Cache
from guildwire.changes import Change, Changes
from guildwire.errors import Disconnected, LoggedOut, RateLimited, TurnedAway, Unavailable
from guildwire.link import Link
from guildwire.loading import Loading
from guildwire.methods import NONCES
from guildwire.state import Phase, State, Status
from guildwire.types import LoggedIn, User
from guildwire.wire import Connection

PATIENCE = 30.0
"""Seconds within which a call is tried again, unless it says otherwise."""

ONCE = frozenset({"logout", "update_user", "delete_user", "start_typing"})
"""What is not tried again once it may have taken effect."""

_CONNECTED = frozenset({Phase.ONLINE, Phase.RESUMING})

_log = logging.getLogger("guildwire")


class Client(Loading):
    """Give it one gateway's URL or several, and a cache from `Cache.load` to begin from what was there.

        async with Client("ws://127.0.0.1:8080/ws") as client:
            await client.login("ann", "correct horse")

    Calls wait for a connection, and are repeated where that is safe, for `patience` seconds in all. They raise
    `Refused` (or one of its kinds, by reason), `Disconnected`, or `LoggedOut`.
    """

    def __init__(self, urls: str | Sequence[str], *, cache: Cache | None = None, patience: float = PATIENCE) -> None:
        self.cache = cache if cache is not None else Cache()
        self.patience = patience
        self.token = ""
        self._focus: tuple[str, ...] = ()
        self._status = Status(lambda: self.cache.board.post(Change("connection", "changed")))
        self._link = Link([urls] if isinstance(urls, str) else urls, self.cache, self._status, lambda: self._focus)
        self._running: asyncio.Task[None] | None = None
        self._why_logged_out = "Nobody has logged in yet."

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and all readers of changes; the session lives on for the token's next use."""
        await self._stop()
        self.cache.board.close()

    # Who one is.

    async def register(
        self, name: str, password: str, *, display_name: str | None = None, device: str | None = None
    ) -> User:
        """Makes an account and logs in to it."""
        given = {"name": name, "password": password, "display_name": display_name, "device": device}
        return await self._log_in("register", given)

    async def login(self, name: str, password: str, *, device: str | None = None) -> User:
        return await self._log_in("login", {"name": name, "password": password, "device": device})

    async def _log_in(self, method: str, params: Mapping[str, Any]) -> User:
        """Over a connection of its own, for it has no token yet."""
        connection = await self._any_gateway()
        try:
            logged_in: LoggedIn = await connection.request(method, _given(params))
        finally:
            await connection.close()
        if self.cache.user_id != logged_in["user"]["id"]:
            self.cache.clear()
        await self.authenticate(logged_in["token"])
        return logged_in["user"]

    async def _any_gateway(self) -> Connection:
        deadline = asyncio.get_running_loop().time() + self.patience
        backoff, turned_away = Backoff(), 0
        while True:
            try:
                return await Connection.open(self._link.url)
            except TurnedAway as error:
                turned_away += 1
                is_too_long = asyncio.get_running_loop().time() + error.retry_after > deadline
                if is_too_long and turned_away < self._link.nodes:
                    self._link.next_url()
                else:
                    await _pause(error.retry_after + backoff.next(), deadline, error)
            except Disconnected as error:
                self._link.next_url()
                await _pause(backoff.next(), deadline, error)

    async def authenticate(self, token: str) -> None:
        """Connects with a token from before. Raises LoggedOut if it is refused, Disconnected if nobody answers."""
        await self.start(token)
        await self.online()

    async def start(self, token: str) -> None:
        """Begins to connect, and returns at once: for apps that show what the cache has meanwhile."""
        await self._stop()
        self.token = token
        self._status.enter(Phase.CONNECTING, url=self._link.url)
        self._running = asyncio.create_task(self._run(token))

    async def logout(self) -> None:
        """Ends the session, everywhere."""
        await super().logout()
        await self._stop()
        self._log_out("Logged out.")

    async def _run(self, token: str) -> None:
        try:
            await self._link.run(token)
        except LoggedOut as error:
            self._log_out(str(error))
        except Exception as error:
            _log.exception("The client failed.")
            self._log_out(f"The client failed: {error!r}")
            raise

    def _log_out(self, why: str) -> None:
        self.token = ""
        self._why_logged_out = why
        self._status.enter(Phase.LOGGED_OUT, why=why)

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    # What it is doing.

    @property
    def state(self) -> State:
        return self._status.state

    async def online(self, patience: float | None = None) -> None:
        """Waits until what the app shows is as the server has it. Raises LoggedOut, or Disconnected after a while."""
        await self._reach(frozenset({Phase.ONLINE}), self.patience if patience is None else patience)

    def hurry(self) -> None:
        """Tries to connect now, if it is waiting for its next try: someone asks for it, or the network is back."""
        self._link.hurry()

    def changes(self) -> Changes:
        """What changes from now on, in the cache and in the connection's state."""
        return self.cache.board.read()

    def focus(self, *scopes: str) -> None:
        """What the app shows, the most important first: after a time away it becomes current first."""
        self._focus = scopes
        self._link.refresh()

    # Requests.

    async def call(self, method: str, params: Mapping[str, Any] | None = None, *, patience: float | None = None) -> Any:
        """Sends a request and returns its result; repeats it while that is safe and may help."""
        given = _given(params or {})
        if method in NONCES:
            given.setdefault("nonce", uuid.uuid4().hex)
        deadline = asyncio.get_running_loop().time() + (self.patience if patience is None else patience)
        backoff = Backoff(first=0.2, most=5.0)
        while True:
            connection = await self._connection(deadline)
            try:
                return await connection.request(method, given)
            except RateLimited as error:
                await _pause(error.retry_after + backoff.next(), deadline, error)
            except (Unavailable, Disconnected) as error:
                if not _is_repeatable(method, given):
                    raise
                await _pause(backoff.next(), deadline, error)

    async def upload_image(self, data: bytes) -> str:
        """What to name as a server's or one's own `image`. PNG, JPEG, WebP or GIF, at most 1 MiB.

        Repeated where that may help: the same file always has the same name. Raises InvalidParams if it is refused.
        """
        deadline = asyncio.get_running_loop().time() + self.patience
        backoff = Backoff(first=0.2, most=5.0)
        while True:
            if not self.token:
                raise LoggedOut(self._why_logged_out)
            try:
                return await images.upload(self._link.url, self.token, data)
            except RateLimited as error:
                await _pause(error.retry_after + backoff.next(), deadline, error)
            except (Unavailable, Disconnected) as error:
                await _pause(backoff.next(), deadline, error)

    def image_url(self, image: str, size: Literal[64, 128, 256, 512] = 512) -> str:
        """Where anybody can see it, with sides of at most `size`; what is there never changes."""
        return images.url_of(self._link.url, image, size)

    async def _connection(self, deadline: float) -> Connection:
        left = deadline - asyncio.get_running_loop().time()
        while (connection := self._link.connection) is None:
            await self._reach(_CONNECTED, left)
        return connection

    async def _reach(self, phases: frozenset[Phase], patience: float) -> None:
        awaited = phases | {Phase.LOGGED_OUT}
        try:
            async with asyncio.timeout(patience):
                await self._status.until(lambda state: state.phase in awaited)
        except TimeoutError:
            raise Disconnected(self.state.why or "Nobody answered in time.") from None
        if self.state.phase is Phase.LOGGED_OUT:
            raise LoggedOut(self._why_logged_out)


async def _pause(seconds: float, deadline: float, error: Exception) -> None:
    """Before trying again; raises the error instead if the pause would end too late."""
    if asyncio.get_running_loop().time() + seconds > deadline:
        raise error
    await asyncio.sleep(seconds)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _is_repeatable(method: str, params: Mapping[str, Any]) -> bool:
    """Twice is once: for reads, for what has a nonce, and for what only says how things shall be."""
    if method in ONCE or "if_rev" in params:
        return False
    return method in NONCES or not method.startswith("add_")
