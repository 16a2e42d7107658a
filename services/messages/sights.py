"""How a user may use a channel, be it a server's or a direct one."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from services.messages.direct_sight import DirectSight, direct_sight
from shared.errors import LostRace, NotFound
from shared.rights import Rights, Sight
from shared.service import Call, Parts
from shared.store import translated

_REMEMBERED = 10_000


class Sights:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._rights: Rights = parts.rights
        self._directs: OrderedDict[str, None] = OrderedDict()

    async def of(self, call: Call, channel_id: str) -> Sight:
        """How the caller may use it, as far as is remembered: the call's outcome is told only if that still holds.

        Raises NotFound when they may not see it.
        """
        sight = await self._read(channel_id, call.user_id, fresh=call.attempt > 0)
        call.rests_on = partial(self._unchanged, sight)
        return sight

    async def _read(self, channel_id: str, user_id: str, *, fresh: bool) -> Sight:
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

    async def _unchanged(self, sight: Sight) -> None:
        if not isinstance(sight, DirectSight):
            await self._rights.unchanged(sight)
            return
        with translated():
            found = await self._store["directs"].find_one(sight.still_as_judged.filter, projection={"_id": 1})
        if found is None:
            raise LostRace
