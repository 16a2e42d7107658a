"""The app: a client that outlives its screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from guildwire import Client, Outbox
from textual.app import App
from textual.binding import Binding, BindingType

from guildwire_chat.chat import Chat
from guildwire_chat.dialogs import Confirm
from guildwire_chat.login import Login
from guildwire_chat.reading import Reading
from guildwire_chat.store import Store

SAVE_EVERY = 30.0


class ChatApp(App[None]):
    TITLE = "Guildwire"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Quit", priority=True)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012 - textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-low"), (28, "-high")]  # noqa: RUF012
    CSS = """
    .dialog { width: 72; max-width: 95%; height: auto; max-height: 100%; border: round $primary; padding: 1 2;
              background: $surface; }
    .long { height: auto; max-height: 1fr; }
    .-low .dialog { padding: 0 2; }
    .title { text-style: bold; }
    .hint { color: $text-muted; }
    .buttons { height: auto; margin-top: 1; }
    .buttons Button { margin-right: 2; }
    Login, Ask, Confirm, Show, Friends, Roles { align: center middle; }
    Input { border: round $primary-darken-2; background: transparent; }
    Input:focus { border: round $primary; }
    #friends, #roles { height: auto; max-height: 16; border: none; background: transparent; margin: 1 0; }
    #problem { color: $warning; margin-top: 1; }
    #write { border-title-color: $warning; }
    #rooms { width: 26; border-right: solid $primary-darken-2; background: $surface; scrollbar-size-vertical: 1; }
    #title { height: 1; padding: 0 1; background: $surface; }
    #title.wraps { height: auto; max-height: 3; }
    #messages { height: 1fr; border: none; padding: 0 1; background: $background; scrollbar-size-vertical: 1; }
    #messages > .option-list--option-disabled { text-style: none; }
    #below { height: 1; padding: 0 1; color: $warning; display: none; }
    #typing { height: 1; padding: 0 1; color: $text-muted; text-style: italic; }
    #members { width: 26; height: 1fr; padding: 0 1; border-left: solid $primary-darken-2; background: $surface; }
    .-narrow #rooms { width: 20; }
    .-narrow #members { display: none; }
    ToastRack { dock: top; align: right top; }
    #status { height: 1; padding: 0 1; background: $surface; }
    """

    def __init__(self, urls: Sequence[str], store: Store) -> None:
        super().__init__()
        self.urls = list(urls)
        self.store = store
        self.client = Client(self.urls, cache=store.load_cache())
        self.outbox = Outbox(self.client)
        self.reading = Reading(self.client.cache)

    async def on_mount(self) -> None:
        self.set_interval(SAVE_EVERY, self.save)
        if self.store.token:
            await self.client.start(self.store.token)
            self.push_screen(Chat())
        else:
            self.push_screen(self._login())

    def on_login_done(self) -> None:
        self.reading.clear()
        user = self.client.cache.users.get(self.client.cache.user_id)
        self.store.token, self.store.name = self.client.token, user["name"] if user else ""
        self.store.save()
        self.switch_screen(Chat())

    def on_chat_logged_out(self, event: Chat.LoggedOut) -> None:
        self.store.token = ""
        self.store.save()
        self.switch_screen(self._login(event.why))

    async def action_quit(self) -> None:
        """What was not sent would be lost."""
        waiting = self.outbox.count()
        if not waiting:
            self.exit()
        else:
            sure = f"{waiting} of your messages {'is' if waiting == 1 else 'are'} not sent yet. Leave, and lose that?"
            self.push_screen(Confirm(sure), lambda yes: self.exit() if yes else None)

    def save(self) -> None:
        """What is there now is what the next start begins with."""
        if self.client.cache.user_id:
            try:
                self.store.save_cache(self.client.cache)
                self.store.save()
            except OSError as error:
                self.notify(f"Your history can't be kept on disk: {error}", severity="warning")

    async def on_unmount(self) -> None:
        self.save()
        await self.outbox.close()
        await self.client.close()

    def _login(self, why: str = "") -> Login:
        return Login(self.store.name, " · ".join(self.urls), why)
