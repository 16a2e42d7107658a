"""Messages on their way: in order within a channel, shown before they are acknowledged, never doubled."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from guildwire.changes import Change
from guildwire.client import Client
from guildwire.errors import GuildwireError

PATIENCE = 300.0


@dataclass(eq=False)
class Outgoing:
    """A message not acknowledged yet. `problem`: why it was given up; `Outbox.retry` tries again, with its nonce."""

    channel_id: str
    content: str
    reply_to: int | None = None
    problem: str = ""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Outbox:
    """`patience`: for how many seconds each message is tried before it is given up."""

    def __init__(self, client: Client, *, patience: float = PATIENCE) -> None:
        self._client = client
        self._patience = patience
        self._channels: dict[str, list[Outgoing]] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}

    def waiting(self, channel_id: str) -> list[Outgoing]:
        """What is to be shown below the channel's messages, in order."""
        made_with = self._client.cache.made_with
        return [each for each in self._channels.get(channel_id, []) if made_with(each.nonce) is None]

    def count(self) -> int:
        return sum(len(self.waiting(channel_id)) for channel_id in self._channels)

    def send(self, channel_id: str, content: str, *, reply_to: int | None = None) -> Outgoing:
        """Takes it over and returns at once."""
        outgoing = Outgoing(channel_id, content, reply_to)
        self._channels.setdefault(channel_id, []).append(outgoing)
        self._tell(outgoing)
        self._begin(channel_id)
        return outgoing

    def retry(self, outgoing: Outgoing) -> None:
        outgoing.problem = ""
        self._tell(outgoing)
        self._begin(outgoing.channel_id)

    def discard(self, outgoing: Outgoing) -> None:
        """Gives it up for good. If its outcome was unknown, it may yet turn out to have been sent."""
        self._remove(outgoing)

    async def close(self) -> None:
        for task in self._senders.values():
            task.cancel()
        await asyncio.gather(*self._senders.values(), return_exceptions=True)

    def _begin(self, channel_id: str) -> None:
        if channel_id not in self._senders:
            self._senders[channel_id] = asyncio.create_task(self._send_all(channel_id))

    async def _send_all(self, channel_id: str) -> None:
        try:
            while outgoing := self._next(channel_id):
                await self._send(outgoing)
        finally:
            del self._senders[channel_id]

    def _next(self, channel_id: str) -> Outgoing | None:
        return next((each for each in self._channels[channel_id] if not each.problem), None)

    async def _send(self, outgoing: Outgoing) -> None:
        message = {"channel_id": outgoing.channel_id, "content": outgoing.content, "reply_to": outgoing.reply_to}
        try:
            await self._client.call("add_message", {**message, "nonce": outgoing.nonce}, patience=self._patience)
        except GuildwireError as error:
            outgoing.problem = str(error)
            self._tell(outgoing)
        else:
            self._remove(outgoing)

    def _remove(self, outgoing: Outgoing) -> None:
        held = self._channels.get(outgoing.channel_id, [])
        if outgoing in held:
            held.remove(outgoing)
            self._tell(outgoing)

    def _tell(self, outgoing: Outgoing) -> None:
        self._client.cache.board.post(Change("outgoing", "changed", outgoing.nonce, outgoing.channel_id))
