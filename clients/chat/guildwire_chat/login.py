"""Who one is: log in, or make an account."""

from __future__ import annotations

import platform
import re
from typing import ClassVar

from guildwire import Conflict, GuildwireError, Unauthenticated
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Footer, Input, Static

from guildwire_chat.wording import trouble


class Login(Screen[None]):
    """`why`: why one is asked again."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+n", "register", "New account", priority=True)]

    class Done(Message):
        """The client is logged in."""

    def __init__(self, name: str, where: str, why: str = "") -> None:
        super().__init__()
        self._name = name
        self._where = where
        self._why = why

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Guildwire", classes="title")
            yield Static(self._where, markup=False, classes="hint")
            yield Input(self._name, placeholder="name (2 to 32 of a-z 0-9 _ .)", id="name")
            yield Input(placeholder="password (8 characters or more)", password=True, id="password")
            with Horizontal(classes="buttons"):
                yield Button("Log in", variant="primary", id="login", compact=True)
                yield Button("New account", id="register", compact=True)
            yield Static("Enter: log in · Ctrl+N: new account, with this name and password", classes="hint")
            yield Static(self._why, markup=False, id="problem")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#password" if self._name else "#name", Input).focus()

    @on(Input.Submitted)
    def _next_field(self, event: Input.Submitted) -> None:
        if event.input.id == "name":
            self.query_one("#password", Input).focus()
        else:
            self._enter("login")

    def action_register(self) -> None:
        self._enter("register")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self._enter(str(event.button.id))

    @work(exclusive=True)
    async def _enter(self, way: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update("One moment …")
        name = self.query_one("#name", Input).value.strip().lower()
        password = self.query_one("#password", Input).value
        if not re.fullmatch(r"[a-z0-9_.]{2,32}", name):
            problem.update("A name is 2 to 32 letters a-z, digits, dots and underscores.")
            return
        if not 8 <= len(password) <= 128:
            problem.update("A password has 8 to 128 characters.")
            return
        client = self.app.client  # type: ignore[attr-defined]
        device = f"terminal on {platform.node()}"[:100]
        try:
            if way == "register":
                await client.register(name, password, device=device)
            else:
                await client.login(name, password, device=device)
        except Unauthenticated:
            problem.update("Wrong name or wrong password. New here? Ctrl+N makes the account.")
        except Conflict:
            problem.update("This name is taken: log in, or choose another.")
        except GuildwireError as error:
            problem.update(trouble(error))
        else:
            self.post_message(self.Done())
