"""What a gateway tells one connection about that connection itself. It belongs to no scope."""

from __future__ import annotations

from typing import ClassVar

from shared.protocol.contract import Event


class Reconnect(Event):
    """This gateway goes away: in so many milliseconds it closes the connection with 1012. Each has its own time."""

    scoped: ClassVar[bool] = False

    after_ms: int


class Resumed(Event):
    """What was missed has been told; from here on events are new."""

    scoped: ClassVar[bool] = False


class Forgotten(Event):
    """The users of these scopes are told of no more: others came after them, and there is room for so many."""

    scoped: ClassVar[bool] = False

    scopes: list[str]
