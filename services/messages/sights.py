"""How a user may use a channel, be it a server's or a direct one."""

from __future__ import annotations

from collections import OrderedDict

from services.messages.direct_sight import DirectSight, direct_sight
from shared.errors import LostRace, NotFound
from shared.rights import Rights, Sight
from shared.service import Parts
from shared.store import translated

_REMEMBERED = 10_000


class Sights:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._rights: Rights = parts.rights
        self._directs: OrderedDict[str, None] = OrderedDict()

    async def of(self, channel_id: str, user_id: str, *, fresh: bool = False) -> Sight:
        """Raises NotFound when the user may not see it. `fresh` reads again all that may be remembered."""
        if channel_id not in self._directs:
            try:
                return await self._rights.sight(channel_id, user_id, fresh=fresh)
            except NotFound:
                pass  # of a server, it is none; it may be a direct one
        sight = await direct_sight(self._store, channel_id, user_id)
        self._directs[channel_id] = None
        if len(self._directs) > _REMEMBERED:
            self._directs.popitem(last=False)
        return sight

    async def unchanged(self, sight: Sight) -> None:
        """To be awaited after a read; raises LostRace when the sight may have changed meanwhile."""
        if not isinstance(sight, DirectSight):
            await self._rights.unchanged(sight)
            return
        with translated():
            found = await self._store["directs"].find_one(sight.still_as_judged.filter, projection={"_id": 1})
        if found is None:
            raise LostRace
