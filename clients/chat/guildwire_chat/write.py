"""The line one writes on."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import Input


class Write(Input):
    """Up leads to the messages, Escape calls an edit off.

    Keys take effect in the order they are typed, however fast they come: over a slow line many come at once. Textual
    by itself inserts letters at once, and runs what other keys are bound to when they have passed all that is around.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "up", "Pick a message", show=False),
        Binding("escape", "call_off", "Call off", show=False),
    ]

    class Up(Message):
        """To the messages."""

    class CalledOff(Message):
        """No editing after all."""

    async def on_key(self, event: Key) -> None:
        for binding in self._bindings.key_to_bindings.get(event.key, []):
            if await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()
                return

    def on_paste(self, event: Paste) -> None:
        """All of it, on the one line there is."""
        event.prevent_default()
        event.stop()
        self.replace(" ".join(event.text.split("\n")), *self.selection)

    async def action_submit(self) -> None:
        """Whatever is typed next belongs to the next message."""
        self.post_message(self.Submitted(self, self.value))
        self.clear()

    def action_up(self) -> None:
        self.post_message(self.Up())

    def action_call_off(self) -> None:
        self.post_message(self.CalledOff())
