"""The line one writes on."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class Write(Input):
    """Up leads to the messages, Escape calls an edit off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "up", "Pick a message", show=False),
        Binding("escape", "call_off", "Call off", show=False),
    ]

    class Up(Message):
        """To the messages."""

    class CalledOff(Message):
        """No editing after all."""

    def action_up(self) -> None:
        self.post_message(self.Up())

    def action_call_off(self) -> None:
        self.post_message(self.CalledOff())
