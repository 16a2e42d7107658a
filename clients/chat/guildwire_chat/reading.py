"""How far one has read, and what is unread: by the read states, and by what was looked at here just now."""

from __future__ import annotations

from dataclasses import dataclass

from guildwire import Cache


@dataclass(frozen=True)
class Unread:
    """`count` is None where there is something, but not all of it is here to be counted."""

    count: int | None = 0
    mentions: int = 0

    def __bool__(self) -> bool:
        return self.count != 0


class Reading:
    """What was looked at counts as read at once; `untold` is what the server has yet to hear of it."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._looked_at: dict[str, int] = {}

    def clear(self) -> None:
        """It is another's from now on."""
        self._looked_at.clear()

    def look_at(self, channel_id: str) -> None:
        """The reader sees the newest message of the channel."""
        pages = self._cache.pages(channel_id)
        if pages.live_end and pages.last_message_id > self._looked_at.get(channel_id, 0):
            self._looked_at[channel_id] = pages.last_message_id

    def untold(self) -> list[tuple[str, int]]:
        """Channels, and the message up to which each was read."""
        states = ((channel_id, self._cache.read_state(channel_id)) for channel_id in self._looked_at)
        return [
            (channel_id, self._looked_at[channel_id])
            for channel_id, state in states
            if state is not None and state["read_id"] < self._looked_at[channel_id]
        ]

    def read_id(self, channel_id: str) -> int | None:
        """None: it is not known yet how far it was read."""
        state = self._cache.read_state(channel_id)
        return None if state is None else max(state["read_id"], self._looked_at.get(channel_id, 0))

    def unread(self, channel_id: str) -> Unread:
        state, read_id, pages = (
            self._cache.read_state(channel_id),
            self.read_id(channel_id),
            self._cache.pages(channel_id),
        )
        if state is None or read_id is None or max(state["last_message_id"], pages.last_message_id) <= read_id:
            return Unread()
        mentions = state["mentions"] if read_id == state["read_id"] else self._mentions_after(channel_id, read_id)
        last = pages.ranges.last
        if not pages.live_end or last is None or last[0] > read_id + 1:
            return Unread(None, mentions)
        return Unread(sum(number in pages.messages for number in range(read_id + 1, last[1] + 1)), mentions)

    def _mentions_after(self, channel_id: str, read_id: int) -> int:
        """The server counts them from what it was told, and that may be about to change."""
        me = self._cache.user_id
        return sum(
            number > read_id and bool(message["mentions_everyone"] or me in message["mentions"])
            for number, message in self._cache.pages(channel_id).messages.items()
        )
