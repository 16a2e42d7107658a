"""The sign that somebody is typing. Served by messages; nothing is stored."""

from __future__ import annotations

from typing import ClassVar

from shared.protocol.contract import Empty, Event, Method, Params
from shared.protocol.fields import Id


class StartTyping(Params):
    channel_id: Id


class TypingStarted(Event):
    """Lasts 8 s, or until a message of theirs. It has neither `scope` nor `rev`, and may be missed."""

    scoped: ClassVar[bool] = False

    channel_id: str
    user_id: str


START_TYPING = Method("start_typing", "messages", StartTyping, Empty)
