"""What one may do in a direct channel: all but what takes an office, as long as nobody in a pair blocks the other."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import Forbidden, NotFound
from shared.journal import Requirement
from shared.permissions import ADD_REACTIONS, MENTION_EVERYONE, SEND_MESSAGES, VIEW_CHANNEL
from shared.rights import Sight
from shared.store import Document, Store, translated

_RULES = frozenset({VIEW_CHANNEL, SEND_MESSAGES, ADD_REACTIONS, MENTION_EVERYONE})
_WRITING = frozenset({SEND_MESSAGES, ADD_REACTIONS})
PAIR = 2


@dataclass(frozen=True, slots=True)
class DirectSight(Sight):
    """`direct` is the channel's document; its `stamp` counts whom it is open to."""

    direct: Document

    @property
    def still_as_judged(self) -> Requirement:
        same = {"_id": self.channel_id, "stamp": self.direct["stamp"], "blocked_by": self.direct["blocked_by"]}
        return Requirement("directs", same)

    def needs(self, rule: str) -> None:
        if rule in _WRITING:
            self.needs_peace()
        Sight.needs(self, rule)

    def needs_peace(self) -> None:
        if len(self.direct["users"]) == PAIR and self.direct["blocked_by"]:
            raise Forbidden("One of you blocks the other.")

    @property
    def unaware(self) -> list[str]:
        """Those in it to whom it is not open: the next message opens it to them."""
        return [user_id for user_id in people_in(self.direct) if user_id not in self.direct["open"]]


async def direct_sight(store: Store, channel_id: str, user_id: str) -> DirectSight:
    """Raises NotFound when the channel is not open to the user."""
    with translated():
        direct = await store["directs"].find_one({"_id": channel_id})
    if direct is None or user_id not in direct["open"]:
        raise NotFound("channel")
    return DirectSight(channel_id, "", 0, _RULES, fresh=True, direct=direct)


def people_in(direct: Document) -> list[str]:
    """Who is in it now: those it was made for, without those who have left."""
    return [user_id for user_id in direct["users"] if user_id not in direct["left"]]
