"""NATS, and with `nats_client` all that knows its library: request/reply between parts, and the hints of the journal.

A hint may be lost, doubled or reordered, and everything above is built for that. A request is sent once: no
responders and a closed connection fail at once, and after a time-out the outcome is unknown. nats-server is told by
`deploy/nats/users.conf` what each part may do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import nats
import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.errors import GuildwireError, Misconfigured, Unavailable
from shared.nats_client import NatsClient, PlainText
from shared.nats_creds import Creds
from shared.places import ON_ACCOUNT_OF, Places
from shared.settings import Settings
from shared.telemetry import NATS_FORBIDDEN, NATS_STATE, REFUSED, SUBSCRIPTIONS, logger

__all__ = ["Bus", "Headers", "NoResponders", "PayloadTooLarge", "Reply", "Request", "Subscription"]

Headers = dict[str, str]
_PENDING_MESSAGES = 65_536
_PENDING_BYTES = 64 << 20
_DRAIN_PATIENCE = 4.0
_COMPLAIN_EVERY = 1.0
_INBOX = "_INBOX."
_FORBIDDEN = "permissions violation"
_WRONG_PASSWORD = "authorization violation"  # noqa: S105 - what nats-server says

FLUSHED = "flushed.nobody"
"""Published to by whoever flushes. Nobody may ever serve it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a service receives it."""

    subject: str
    payload: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Reply:
    payload: bytes
    headers: Headers = field(default_factory=dict)

    @classmethod
    def refusing(cls, error: GuildwireError) -> Reply:
        return cls(orjson.dumps(error.wire()), {"status": "error"})


Serve = Callable[[Request], Awaitable[Reply]]
Hear = Callable[[bytes], None]


class NoResponders(Unavailable):
    """Nobody serves the subject: certainly nothing has happened."""


class PayloadTooLarge(Exception):
    """Refused before NATS sees it: a larger publish would close the connection for good."""


def inbox_of(part: str) -> str:
    """The prefix of the subjects on which replies come to this part."""
    return f"{_INBOX}{part}"


class Bus:
    """One NATS connection of a `part`: the gateway or a service.

    `on_doubt` is called whenever messages may have been lost without a word.
    """

    def __init__(self, settings: Settings, part: str) -> None:
        self._settings = settings
        self._part = part
        self._client = NatsClient()
        self._begun = False
        self._connections = 0
        """That have ended."""
        self._asked: set[asyncio.Timeout] = set()
        """The questions that wait for an answer over the present one."""
        self._forbidden = ""
        self._complained = 0.0
        self._closing = False
        self._serving: list[Subscription] = []
        self._work: set[asyncio.Task[None]] = set()
        self._places = Places(settings)
        self.on_doubt: Callable[[str], None] = lambda _why: None

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    @property
    def connection(self) -> str:
        """Another one after each reconnect: what this part was asked before it can answer no more."""
        return str(self._connections)

    async def connect(self) -> None:
        """Returns when a server has let this part in; raises Misconfigured when none ever will."""
        servers = self._settings.nats_url.split(",")
        options: dict[str, Any] = {}
        if self._settings.nats_creds_file:
            # Read anew with each connection: such a user's JWT may expire, and is then replaced in its place.
            options["user_jwt_cb"] = lambda: self._creds().jwt
            options["signature_cb"] = lambda nonce: self._creds().sign(nonce)
        if self._settings.nats_ca_file:
            options["tls"] = ssl.create_default_context(cafile=str(self._settings.nats_ca_file))
        self._client.must_be_encrypted = bool(options.get("tls")) or any(each.startswith("tls:") for each in servers)
        if self._client.must_be_encrypted and not all(each.startswith(("nats:", "tls:")) for each in servers):
            raise Misconfigured("with TLS every server in NATS_URL must begin with tls:// or nats://")
        await self._client.connect(
            servers=servers,
            name=self._settings.name,
            inbox_prefix=inbox_of(self._part),
            ping_interval=1,
            max_outstanding_pings=3,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # any number of seconds is fine
            max_reconnect_attempts=-1,
            connect_timeout=2,
            flush_timeout=0.5,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_closed,
            **options,
        )
        if self._client.max_payload < self._settings.max_payload:
            await self.close()
            raise Misconfigured(
                f"NATS takes {self._client.max_payload} bytes a message, MAX_PAYLOAD says {self._settings.max_payload}:"
                " raise the one (max_payload in nats-server's configuration) or lower the other"
            )
        self._begun = True
        NATS_STATE.set(1)

    async def request(self, subject: str, payload: bytes, headers: Headers, within: float) -> Reply:
        """Asks whoever serves `subject`; raises Unavailable after `within` seconds, or when the connection ends."""
        if not self._client.is_connected:
            raise Unavailable
        self.guard(payload)
        try:
            async with asyncio.timeout(None) as limit:
                self._asked.add(limit)
                try:
                    message = await self._client.request(subject, payload, timeout=within, headers=headers)
                finally:
                    self._asked.discard(limit)
        except nats.errors.NoRespondersError as error:
            raise NoResponders from error
        except (nats.errors.Error, TimeoutError, ConnectionError) as error:
            logger().warning("request_failed", subject=subject, error=type(error).__name__)
            raise Unavailable from error
        return Reply(message.data, dict(message.headers or {}))

    async def serve(self, subject: str, group: str, run: Serve) -> None:
        """Runs `run` for each request on `subject` that falls to this member of the queue group.

        nats-py awaits the callback before it takes the next message, so each request gets a task of its own;
        their number is bounded, and what comes beyond is refused rather than queued.
        """

        async def spawn(message: Msg) -> None:
            account = (message.headers or {}).get(ON_ACCOUNT_OF, "")
            if error := self._places.refusal(account):
                await self._answer(message, Reply.refusing(error))
                return
            if self._places.full:
                REFUSED.labels(why="overload").inc()
                await self._answer(message, Reply(b"", {"status": "overload"}))
                return
            self._places.take(account)
            task = asyncio.create_task(self._work_on(message, run))
            self._work.add(task)
            task.add_done_callback(self._work.discard)
            task.add_done_callback(lambda _task: self._places.free(account))

        self._serving.append(await self._subscribe(subject, spawn, group))

    async def stand_by(self, subject: str) -> None:
        """Answers each request on `subject` with the `connection`, also after `stop_serving`."""

        async def answer(message: Msg) -> None:
            await self._answer(message, Reply(self.connection.encode()))

        await self._subscribe(subject, answer)

    async def hear(self, subject: str, hear: Hear) -> Subscription:
        """Calls `hear` with the payload of each message on `subject`; it must not block."""

        async def receive(message: Msg) -> None:
            hear(message.data)

        return await self._subscribe(subject, receive)

    async def unhear(self, subscription: Subscription) -> None:
        SUBSCRIPTIONS.dec()
        try:
            await subscription.unsubscribe()
        except (nats.errors.Error, ConnectionError) as error:
            logger().warning("unsubscribe_failed", error=type(error).__name__)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Hands a hint to the connection; raises Unavailable while there is none."""
        if not self._client.is_connected:
            raise Unavailable
        self.guard(payload)
        try:
            await self._client.publish(subject, payload)
        except (nats.errors.Error, ConnectionError) as error:
            raise Unavailable from error

    async def flush(self, within: float = 2.0) -> None:
        """Returns when the server has taken everything handed over before; raises Unavailable."""
        if not self._client.is_connected:
            raise Unavailable
        try:
            # Not nats-py's own flush: its PING overtakes what is still queued. This goes through the same queue,
            # and the server says at once that nobody serves it.
            await self._client.request(FLUSHED, b"", timeout=within)
        except nats.errors.NoRespondersError:
            return
        except (nats.errors.Error, TimeoutError, ConnectionError) as error:
            raise Unavailable from error

    async def must_be_permitted(self) -> None:
        """Raises Misconfigured when NATS has refused anything that was asked of it before, else as `flush` does.

        It refuses without an answer: what one may not subscribe to is just never heard.
        """
        try:
            await self.flush()
        finally:
            if self._forbidden:
                raise Misconfigured(
                    f"NATS does not let the user of {self._part} do what it must ({self._forbidden}):"
                    " give it the permissions of deploy/nats/users.conf, or NATS_URL that of its own user"
                )

    async def stop_serving(self) -> None:
        """Takes no further requests and lets those under way be answered; bounded."""
        try:
            async with asyncio.timeout(_DRAIN_PATIENCE):
                # Side by side: one that is not drained in time would take requests that nobody answers.
                drains = (subscription.drain() for subscription in self._serving)  # type: ignore[no-untyped-call]
                await asyncio.gather(*drains)
        except (nats.errors.Error, ConnectionError, TimeoutError) as error:
            logger().warning("drain_failed", error=type(error).__name__)
        if self._work:
            await asyncio.wait(self._work, timeout=_DRAIN_PATIENCE)

    async def close(self) -> None:
        self._closing = True
        if self._client.is_closed or not (self._client.is_connected or self._client.is_reconnecting):
            return
        try:
            # A reconnection under way may outlive close(): without a server its next attempt is its last.
            self._client.set_server_pool([])
            await asyncio.wait_for(self._client.close(), _DRAIN_PATIENCE)
        except asyncio.CancelledError:
            # nats-py may raise it of itself here, out of a reconnection it has cancelled.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
        except (nats.errors.Error, ConnectionError, TimeoutError) as error:
            logger().warning("close_failed", error=type(error).__name__)

    async def _subscribe(
        self, subject: str, receive: Callable[[Msg], Awaitable[None]], group: str = ""
    ) -> Subscription:
        try:
            subscription = await self._client.subscribe(
                subject,
                queue=group,
                cb=receive,
                pending_msgs_limit=_PENDING_MESSAGES,
                pending_bytes_limit=_PENDING_BYTES,
            )
            SUBSCRIPTIONS.inc()
            return subscription
        except (nats.errors.Error, ConnectionError) as error:
            raise Unavailable from error

    async def _work_on(self, message: Msg, run: Serve) -> None:
        request = Request(message.subject, message.data, dict(message.headers or {}))
        connections = self._connections
        reply = await run(request)
        if self._connections == connections and self._client.is_connected:
            await self._answer(message, reply)
        else:
            # NATS lets a part answer what it was asked over this connection, and no other.
            logger().warning("reply_lost", subject=message.subject, error="asked over an earlier connection")

    async def _answer(self, message: Msg, reply: Reply) -> None:
        # Whoever asks says whither; what they may not publish themselves, nobody here publishes for them.
        if not message.reply.startswith(_INBOX):
            return
        try:
            self.guard(reply.payload)
            await self._client.publish(message.reply, reply.payload, headers=dict(reply.headers))
        except PayloadTooLarge:
            logger().error("reply_too_large", subject=message.subject, size=len(reply.payload))
            await self._answer(message, Reply(b"", {"status": "overload"}))
        except (nats.errors.Error, ConnectionError) as error:
            logger().warning("reply_lost", subject=message.subject, error=type(error).__name__)

    def guard(self, payload: bytes) -> None:
        """Raises PayloadTooLarge for what could not be published."""
        if len(payload) > self._settings.max_payload - 4096:
            raise PayloadTooLarge(f"{len(payload)} bytes")

    def _creds(self) -> Creds:
        """Raises what nats-py takes for a reason to try again."""
        assert self._settings.nats_creds_file is not None  # noqa: S101 - nobody asks else
        try:
            return Creds.read(self._settings.nats_creds_file)
        except ValueError as error:
            raise nats.errors.Error(str(error)) from error

    async def _on_error(self, error: Exception) -> None:
        """Raises Misconfigured out of the first `connect`, which would try for ever."""
        said = str(error) or type(error).__name__
        if _FORBIDDEN in said:
            self._was_forbidden(said)
            return
        logger().warning("nats_error", error=said)
        if isinstance(error, nats.errors.SlowConsumerError):
            self.on_doubt("slow_consumer")
        if not self._begun and (why := _hopeless(error)):
            raise Misconfigured(why) from error

    def _was_forbidden(self, said: str) -> None:
        """NATS dropped what was published, or will never deliver what was subscribed to."""
        self._forbidden = self._forbidden or said
        NATS_FORBIDDEN.inc()
        if time.monotonic() >= self._complained + _COMPLAIN_EVERY:
            self._complained = time.monotonic()
            logger().error("nats_forbidden", part=self._part, error=said)

    async def _on_disconnect(self) -> None:
        self._connections += 1
        self._client.forget_unsent()
        now = asyncio.get_running_loop().time()
        for limit in self._asked:
            limit.reschedule(now)
        NATS_STATE.set(0)
        if not self._closing:
            logger().warning("nats_disconnected")

    async def _on_reconnect(self) -> None:
        NATS_STATE.set(1)
        logger().info("nats_reconnected")
        self.on_doubt("reconnected")

    async def _on_closed(self) -> None:
        """A connection closed for good never comes back: end the process and let it be started anew."""
        if not self._closing:
            logger().error("nats_closed_for_good")
            # Not SIGTERM: whoever is connected would be kept waiting, and told nothing.
            os.kill(os.getpid(), signal.SIGINT)


def _hopeless(error: Exception) -> str:
    """What to do about an error that doesn't go away by itself; nothing for any other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "NATS's certificate was not signed by NATS_CA_FILE for the host in NATS_URL: correct either"
    if isinstance(error, PlainText):
        return "NATS does not speak TLS, which NATS_CA_FILE or tls:// in NATS_URL asks for: turn both on, or neither"
    if _WRONG_PASSWORD in str(error).lower():
        return "NATS refuses the credentials in NATS_URL or NATS_CREDS_FILE: correct them, or make that user"
    return ""
