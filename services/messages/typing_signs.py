"""The sign that somebody is typing. Nothing is stored; who types on is told of only every few seconds."""

from __future__ import annotations

import time
from collections import OrderedDict

from services.messages.direct_sight import DirectSight
from services.messages.sights import Sights
from shared.permissions import SEND_MESSAGES
from shared.protocol.contract import Empty
from shared.protocol.typing_sign import START_TYPING, StartTyping
from shared.rights import Sight
from shared.scopes import subject_of
from shared.service import Call, Parts, handles
from shared.typing_notice import TypingNotice

_EVERY = 3.0
_REMEMBERED = 20_000


class TypingSigns:
    def __init__(self, parts: Parts) -> None:
        self._bus = parts.bus
        self._epoch = parts.epoch
        self._sights = Sights(parts)
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    @handles(START_TYPING)
    async def start_typing(self, call: Call, params: StartTyping) -> Empty:
        sight = await self._sights.of(call, params.channel_id)
        sight.needs(SEND_MESSAGES)
        key, now = (call.user_id, params.channel_id), time.monotonic()
        if now - self._told.get(key, -_EVERY) < _EVERY:
            return Empty()
        await call.still_holds()
        notice = TypingNotice(sight.scope, call.user_id, sight.perm_rev, _people(sight))
        await self._bus.publish(subject_of(sight.scope), notice.hint(self._epoch.value))
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return Empty()


def _people(sight: Sight) -> list[str] | None:
    return sorted(sight.direct["open"]) if isinstance(sight, DirectSight) else None
