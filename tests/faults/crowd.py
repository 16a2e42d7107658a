"""People who go on talking while things break, and what must be true of what they were told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from tests.cache import Device
from tests.client import Client, RpcError
from tests.rig import System, eventually
from tests.view import fresh_view

PATIENCE = 5.0
"""Seconds after which everybody must have heard of a change, or agree again after a fault."""

_RETRY = 0.05
_RESTS = 0.02


async def insist(client: Client, method: str, **params: Any) -> Any:
    """Asks again, the same, for as long as the outcome is unknown."""
    while True:
        try:
            return await client.call(method, **params)
        except RpcError as error:
            if error.reason != "unavailable":
                raise
        await asyncio.sleep(_RETRY)


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels them for as long as any goes on: on Python 3.11 `wait_for` may lose a cancellation."""
    while going_on := [task for task in tasks if not task.done()]:
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)


class Crowd:
    """Some devices, and what was acknowledged to them.

    They have `patience` seconds from an acknowledgement until the last of those concerned must have heard of the
    change; `lags` are the seconds it took. Whoever talks `rests` for so many seconds after each message.
    """

    def __init__(
        self, system: System, devices: Sequence[Device], patience: float = PATIENCE, rests: float = _RESTS
    ) -> None:
        self.system = system
        self.devices = list(devices)
        self.patience = patience
        self.rests = rests
        self.lags: list[float] = []
        self.said: dict[str, tuple[str, int]] = {}
        """The channel and id of each message by its content, no two of which are the same."""
        self._numbers = itertools.count(1)
        self._waiting: set[asyncio.Task[None]] = set()
        self._talking: list[asyncio.Task[None]] = []
        self._silence = asyncio.Event()

    # Changes, and who must hear of them.

    async def say(self, device: Device, channel_id: str) -> dict[str, Any]:
        """Adds a message, under one nonce until it is acknowledged."""
        content = f"said {next(self._numbers)}"
        params = {"channel_id": channel_id, "content": content, "nonce": content}
        message: dict[str, Any] = await insist(device.client, "add_message", **params)
        assert message["content"] == content
        self.said[content] = (channel_id, message["id"])
        self.everybody_reaches(f"channel:{channel_id}", message["rev"])
        return message

    def everybody_reaches(self, scope: str, rev: int, devices: Sequence[Device] | None = None) -> None:
        """From now on they have to hear of what has just been acknowledged; `settle` tells whether they did."""
        for_all = self.devices if devices is None else devices
        self.come_true(lambda device: device.cache.position(scope) >= rev, f"{scope} at {rev}", for_all)

    def come_true(
        self, condition: Callable[[Device], bool], what: str, devices: Sequence[Device]
    ) -> asyncio.Task[None]:
        """The same for what no revision of theirs tells; the task ends when they all have heard."""
        acknowledged = time.monotonic()

        async def hear() -> None:
            await asyncio.gather(
                *(device.client.until(partial(condition, device), what, self.patience) for device in devices)
            )
            self.lags.append(time.monotonic() - acknowledged)

        hearing = asyncio.create_task(hear())
        self._waiting.add(hearing)
        return hearing

    async def settle(self) -> None:
        """Waits until all that was acknowledged has been heard, or fails."""
        await asyncio.gather(*self._waiting)
        self._waiting.clear()

    # Talk in the background.

    def talk(self, device: Device, channel_id: str) -> None:
        """The device begins to write, edit, delete and read in a channel, until `hush`."""
        self.go_on(partial(self._talk, device, channel_id))

    def go_on(self, doing: Callable[[int], Awaitable[object]]) -> None:
        """It is done again and again, with a rest between, until `hush`, and told how often it was done before."""
        self._talking.append(asyncio.create_task(self._go_on(doing)))

    async def has_said(self, messages: int) -> None:
        """Waits until so many more are acknowledged."""
        enough = len(self.said) + messages
        await eventually(lambda: len(self.said) >= enough, "some talk", 20)

    async def hush(self) -> None:
        """All talk ends, its last message acknowledged."""
        self._silence.set()
        await asyncio.gather(*self._talking)
        self._talking.clear()
        self._silence.clear()

    async def _go_on(self, doing: Callable[[int], Awaitable[object]]) -> None:
        for number in itertools.count():
            if self._silence.is_set():
                return
            await doing(number)
            await asyncio.sleep(self.rests)

    async def _talk(self, device: Device, channel_id: str, number: int) -> None:
        message = await self.say(device, channel_id)
        which = {"channel_id": channel_id, "message_id": message["id"]}
        if number % 5 == 1:
            await self._try(device, "update_message", **which, content=f"edited {message['content']}")
        if number % 7 == 2:
            await self._try(device, "delete_message", **which)
        if number % 11 == 3:
            await self._try(device, "get_message_chunk", channel_id=channel_id, amount=20, anchor=0, direction=False)

    async def _try(self, device: Device, method: str, **params: Any) -> None:
        """Once: without a nonce, who does not know the outcome has to leave it at that."""
        try:
            result = await device.client.call(method, **params)
        except RpcError as error:
            if error.reason != "unavailable":
                raise
            return
        if method == "update_message":
            self.everybody_reaches(f"channel:{params['channel_id']}", result["rev"])

    async def disperse(self) -> None:
        """Ends all that is still going on, however the test went."""
        await end([*self._talking, *self._waiting])

    # What must hold.

    def heads(self) -> dict[str, int]:
        """The head of every scope there is."""
        grouped = self.system.db.journal.aggregate([{"$group": {"_id": "$scope", "rev": {"$max": "$rev"}}}])
        return {scope["_id"]: scope["rev"] for scope in grouped}

    async def catch_up(self, since: float) -> float:
        """Everybody comes to what the journal says by now, within 5 s of `since`; returns the seconds it took."""
        heads = await asyncio.to_thread(self.heads)
        while behind := [lacking for device in self.devices if (lacking := _behind(device, heads))]:
            assert time.monotonic() - since < PATIENCE, f"still behind: {behind}"
            await asyncio.sleep(0.02)
        return time.monotonic() - since

    async def agree(self) -> None:
        """Nobody's socket was closed, and everybody's cache equals a fresh read."""
        assert all(device.client.close_code is None for device in self.devices)
        heard = self._channels_added()
        tokens = {device.cache.user_id: device.token for device in self.devices}
        views = {user_id: await fresh_view(self.system.url(0), token) for user_id, token in tokens.items()}
        for device in self.devices:
            await device.equals(views[device.cache.user_id], heard)

    async def nothing_is_lost_or_doubled(self) -> None:
        """In the database: revisions and message ids dense, each thing said there once, nothing left in the outbox."""
        journal, messages = self.system.db.journal, self.system.db.messages
        for scope in journal.aggregate([extent("scope", "rev")]):
            assert (scope["least"], scope["most"]) == (1, scope["count"]), f"{scope['_id']} is not dense"
        for channel in messages.aggregate([extent("channel_id", "id")]):
            assert (channel["least"], channel["most"]) == (1, channel["count"]), f"ids of {channel['_id']}"
        added: list[dict[str, Any]] = [{"$unwind": "$events"}, {"$match": {"events.name": "message_added"}}]
        every = [entry["events"]["params"]["message"] for entry in journal.aggregate(added)]
        ours = {channel_id for channel_id, _ in self.said.values()}
        found = [message for message in every if message["channel_id"] in ours]
        stored = {message["content"]: (message["channel_id"], message["id"]) for message in found}
        assert len(stored) == len(found), "a message was added twice"
        assert stored == self.said
        await eventually(lambda: self.system.db.outbox.count_documents({}) == 0, "the outbox empties")

    def _channels_added(self) -> dict[str, int]:
        """The last rev of each server's scope that all its members hear."""
        stages: list[dict[str, Any]] = [
            {"$match": {"events.name": "channel_added"}},
            {"$group": {"_id": "$scope", "rev": {"$max": "$rev"}}},
        ]
        return {scope["_id"]: scope["rev"] for scope in self.system.db.journal.aggregate(stages)}


def extent(of: str, number: str) -> dict[str, Any]:
    field = f"${number}"
    return {"$group": {"_id": f"${of}", "count": {"$sum": 1}, "least": {"$min": field}, "most": {"$max": field}}}


def _behind(device: Device, heads: dict[str, int]) -> dict[str, str]:
    """The scopes of which all is heard, and of which this device has not heard the last."""
    scopes = [f"self:{device.cache.user_id}", *(f"channel:{channel_id}" for channel_id in device.cache.channels)]
    return {
        scope: f"at {device.cache.position(scope)} of {heads[scope]}"
        for scope in scopes
        if device.cache.position(scope) < heads.get(scope, 0)
    }


def quantiles(seconds: Iterable[float]) -> str:
    """A distribution in a few words."""
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    at = {name: ordered[min(int(len(ordered) * share), len(ordered) - 1)] for name, share in _SHARES.items()}
    return f"{len(ordered)}: " + " ".join(f"{name} {value:.3f}" for name, value in at.items()) + " s"


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
