"""The line one writes on."""

from __future__ import annotations

from typing import ClassVar

from guildwire.cache.entities import Entity
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import Input


class Write(Input):
    """Up leads to the messages, Escape calls off what it is about: `editing` one message, or `replying` to another.

    Keys take effect in the order they are typed, however fast they come: over a slow line many come at once. Textual
    by itself inserts letters at once, and runs what other keys are bound to when they have passed all that is around.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "up", "Pick a message", show=False),
        Binding("escape", "call_off", "Call off", show=False),
    ]

    class Up(Message):
        """To the messages."""

    def __init__(self) -> None:
        super().__init__(
            placeholder="Write here · ↑ picks a message · /help", id="write", max_length=4000, select_on_focus=False
        )
        self.editing: Entity | None = None
        self.replying: Entity | None = None

    def begin_anew(self) -> None:
        """What is written from now on is a message of its own."""
        self.editing = self.replying = None
        self.border_title = ""

    def reply(self, message: Entity, beginning: str) -> None:
        """What was begun is kept: it may be the answer."""
        if self.editing is not None:
            self.clear()
        self.begin_anew()
        self.replying = message
        self.border_title = Content(f"Replying to {beginning} · Esc: not to it")
        self.focus()

    def edit(self, message: Entity, text: str) -> None:
        self.begin_anew()
        self.editing = message
        self.border_title = "Editing · Esc: leave it as it was"
        self.value = text.replace("\n", " ")
        self.cursor_position = len(self.value)
        self.focus()

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
        if self.editing is not None:
            self.clear()
        self.begin_anew()
