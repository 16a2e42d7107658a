"""Who a message names: `<@user_id>` mentions that user, `@everyone` all who see it, if its author may."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.permissions import MENTION_EVERYONE
from shared.rights import Sight
from shared.store import Store, translated

EVERYONE = "everyone"
_USER = re.compile(r"<@([0-9a-f]{24})>")
_EVERYONE = re.compile(r"(?<!\w)@everyone\b")


@dataclass(frozen=True, slots=True)
class Mentions:
    users: list[str]
    everyone: bool

    @property
    def names(self) -> list[str]:
        """Whom it names, as one list: by these a user's mentions are counted."""
        return [*self.users, *([EVERYONE] if self.everyone else [])]


async def mentions_in(store: Store, content: str, sight: Sight) -> Mentions:
    """Each existing user once, in the order of the text."""
    named = list(dict.fromkeys(_USER.findall(content)))
    everyone = MENTION_EVERYONE in sight.rules and _EVERYONE.search(content) is not None
    if not named:
        return Mentions([], everyone)
    with translated():
        users = await store["users"].find({"_id": {"$in": named}}, projection={"_id": 1}).to_list(len(named))
    existing = {user["_id"] for user in users}
    return Mentions([user_id for user_id in named if user_id in existing], everyone)
