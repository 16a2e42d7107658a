"""NATS as far as hints and requests rely on it: a bus that promises nothing.

Modelled: each message to each subscriber may be lost, doubled or overtaken; a subscription takes effect some time
after it was flushed; a connection may be dead for a while before its owner learns of it, and what was handed to it
meanwhile is gone; requests and their answers may be lost. Not modelled: queues, sizes, subjects' permissions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import orjson

from shared.bus import Headers, NoResponders, Reply
from shared.errors import Unavailable
from tests.model.loop import Process, over
from tests.model.oracle import Oracle
from tests.model.world import World

T = TypeVar("T")
Respond = Callable[[Reply], None]


class Serves(Protocol):
    """Whoever answers requests: calls `respond` at most once, whenever it likes. False when there is nobody."""

    def __call__(self, subject: str, payload: bytes, headers: Headers, respond: Respond, /) -> bool: ...


@dataclass(eq=False, slots=True)
class _Subscription:
    bus: Bus
    subject: str
    hear: Callable[[bytes], None]
    effective: float

    def matches(self, subject: str) -> bool:
        return self.subject == subject or (
            self.subject.endswith("*") and subject.rpartition(".")[0] == self.subject.rpartition(".")[0]
        )


class Network:
    def __init__(self, world: World, oracle: Oracle) -> None:
        self.world = world
        self.oracle = oracle
        self.subscriptions: list[_Subscription] = []
        self.serves: Serves = _nobody

    def spread(self, subject: str, payload: bytes) -> None:
        """Has a message delivered to everyone who hears the subject by now."""
        kind = "hints_lost" if b'"events"' in payload else "notices_lost"
        for subscription in self.subscriptions:
            bus, world = subscription.bus, self.world
            if not subscription.matches(subject) or subscription.effective > world.now:
                continue
            key = f"to {bus.process.name}:{subject}"
            for copy in range(1 + world.fault(key, "hints_doubled")):
                if world.fault(key, kind):
                    world.note(bus.process.name, f"loses {_short(payload)}")
                else:
                    world.after(world.hint_delay(f"{key}:{copy}"), lambda to=subscription: to.bus.deliver(to, payload))  # type: ignore[misc]


class Bus:
    """One process's connection; has the methods of production's Bus."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._world = network.world
        self.process = process
        self.on_doubt: Callable[[str], None] = lambda _why: None
        self._alive = True
        self._noticed = False
        self._sent_by = 0.0

    @property
    def connected(self) -> bool:
        return not self._noticed

    @property
    def alive(self) -> bool:
        return self._alive

    # Cutting the connection.

    def cut(self, lasts: float, noticed: float = 0.0) -> None:
        """Nothing passes for so long; its owner learns of it after `noticed`, or else some time within."""
        stream = self._world.stream(f"{self.process.name}:cut")
        self._world.note(self.process.name, f"CUT OFF for {lasts:.2f} s")
        self._alive = False
        self._world.after(noticed or lasts * stream.uniform(0.1, 0.9), self._notice)
        self._world.after(lasts, self.mend)

    def _notice(self) -> None:
        self._noticed = not self._alive

    def mend(self) -> None:
        if self._alive:
            return
        self._alive, self._noticed = True, False
        for subscription in self._network.subscriptions:
            if subscription.bus is self:
                subscription.effective = self._world.now
        self._world.note(self.process.name, "RECONNECTED")
        self._world.loop.call_soon(self.on_doubt, "reconnected", context=self.process.context)

    # Hints.

    def guard(self, payload: bytes) -> None:
        """Nothing here is too large."""

    async def publish(self, subject: str, payload: bytes) -> None:
        await self._world.step(self.process.name)
        self._need_connection()
        self._network.oracle.published(self.process.name, payload)
        self._world.note(self.process.name, f"publishes {_short(payload)}")
        self._send(lambda: self._network.spread(subject, payload))

    async def flush(self, within: float = 2.0) -> None:
        await self._world.step(self.process.name)
        self._need_connection()
        await self._reply_within(within, lambda answer: self._send(lambda: self._later(lambda: _give(answer, None))))

    def say(self, subject: str, words: bytes) -> None:
        """What is no hint; goes to whoever hears it, now and then, and nothing rests on it."""
        if self._alive:
            for subscription in tuple(self._network.subscriptions):
                if subscription.subject == subject and subscription.bus._alive:
                    self._world.loop.call_soon(subscription.hear, words, context=subscription.bus.process.context)

    def _send(self, arrive: Callable[[], object]) -> None:
        """In order, behind what was sent before; what a dead process or connection has not sent yet is gone."""
        key = f"from {self.process.name}"
        delay = self._world.delay(key)
        if self._world.fault(key, "slow_sends"):
            delay += self._world.stream(f"{key}:slow").uniform(0.0, self._world.profile.latest)
        self._sent_by = max(self._sent_by, self._world.now + delay)
        if self._works():
            self._world.after(self._sent_by - self._world.now, lambda: arrive() if self._works() else None)

    async def hear(self, subject: str, hear: Callable[[bytes], None]) -> _Subscription:
        self._need_connection()
        world, key = self._world, f"{self.process.name} hears {subject}"
        late = world.fault(key, "slow_subscriptions")
        takes = world.stream(f"{key}:delay").uniform(0, world.profile.subscription_delay) if late else 0.0
        subscription = _Subscription(self, subject, hear, world.now + takes)
        self._network.subscriptions.append(subscription)
        world.note(self.process.name, f"subscribes to {subject}, in effect after {takes:.3f} s")
        return subscription

    async def unhear(self, subscription: _Subscription) -> None:
        self._network.subscriptions.remove(subscription)

    def deliver(self, subscription: _Subscription, payload: bytes) -> None:
        if self._alive and not self.process.dead and subscription in self._network.subscriptions:
            self._world.note(self.process.name, f"hears {_short(payload)}")
            self._world.loop.call_soon(subscription.hear, payload, context=self.process.context)

    # Requests.

    async def request(self, subject: str, payload: bytes, headers: Headers, within: float) -> Reply:
        self._need_connection()
        key = f"{self.process.name} asks {subject}"

        def respond(answer: asyncio.Future[Reply], reply: Reply) -> None:
            if not self._world.fault(key, "requests_lost"):
                self._later(lambda: _give(answer, reply))

        def arrive(answer: asyncio.Future[Reply]) -> None:
            if not self._network.serves(subject, payload, headers, lambda reply: respond(answer, reply)):
                self._later(lambda: None if answer.done() else answer.set_exception(NoResponders()))

        def ask(answer: asyncio.Future[Reply]) -> None:
            if not self._world.fault(key, "requests_lost"):
                self._later(lambda: arrive(answer))

        return await self._reply_within(within, ask)

    async def _reply_within(self, within: float, ask: Callable[[asyncio.Future[T]], None]) -> T:
        answer: asyncio.Future[T] = self._world.loop.create_future()
        ask(answer)
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            raise Unavailable from None

    def _works(self) -> bool:
        return self._alive and not self.process.dead

    def _later(self, work: Callable[[], object]) -> None:
        """One way over this connection, if it is alive at both ends of it."""
        if self._alive:
            delay = self._world.delay(f"{self.process.name} and back")
            self._world.after(delay, lambda: work() if self._alive else None)

    def _need_connection(self) -> None:
        if self._world.loop.closing:
            over()
        if self._noticed:
            raise Unavailable


def _give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _short(payload: bytes) -> str:
    hint = orjson.loads(payload)
    return f"{hint['scope']}@{hint['rev']}{'' if 'events' in hint else ' (head)'}"


def _nobody(_subject: str, _payload: bytes, _headers: Headers, _respond: Respond) -> bool:
    return False
