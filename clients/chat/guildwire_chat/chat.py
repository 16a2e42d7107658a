"""The screen one chats on: rooms, the open channel, members, and what the connection is doing."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar, cast

from guildwire import Change, GuildwireError, NotFound, Phase
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from guildwire_chat import actions, directs
from guildwire_chat.conversation import Conversation
from guildwire_chat.dialogs import Ask
from guildwire_chat.friends import Friends, incoming
from guildwire_chat.members import Members, shown_name
from guildwire_chat.roles import Roles
from guildwire_chat.rooms import Rooms
from guildwire_chat.wording import status, trouble
from guildwire_chat.write import Write

if TYPE_CHECKING:
    from guildwire_chat.app import ChatApp


class Chat(Screen[None]):
    """Follows what changes, and hands it to what shows it; loads what is shown beside the open channel."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help"),
        Binding("f2", "join", "Join"),
        Binding("f3", "new_server", "New server"),
        Binding("f4", "new_channel", "New channel"),
        Binding("f5", "invite", "Invite"),
        Binding("f6", "rooms", "Rooms"),
        Binding("f7", "friends", "Friends"),
        Binding("f8", "write_to", "Write to", show=False),
        Binding("ctrl+r", "hurry", "Try now", show=False, priority=True),
        Binding("pageup", "page(-1)", "Back", show=False, priority=True),
        Binding("pagedown", "page(1)", "Forth", show=False, priority=True),
    ]

    class LoggedOut(Message):
        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self) -> None:
        super().__init__()
        self._online_before = False
        self._telling = False

    @property
    def chat(self) -> ChatApp:
        return cast("ChatApp", self.app)

    @property
    def conversation(self) -> Conversation:
        return self.query_one(Conversation)

    @property
    def channel_id(self) -> str:
        return self.conversation.channel_id

    @property
    def server_id(self) -> str:
        return self.conversation.server_id

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Rooms(id="rooms")
            yield Conversation()
            yield Members(id="members")
        yield Static(id="status")
        yield Footer()

    def on_mount(self) -> None:
        self._follow()
        self._load_all()
        self.set_interval(0.5, self._show_status)
        if self._is_listed(self.chat.store.channel_id):
            self.open_channel(self.chat.store.channel_id)
        self.show_rooms()
        self._show_status()
        self.query_one(Write).focus()

    # What changes.

    @work
    async def _follow(self) -> None:
        """Until logged out, which may have been so before this began."""
        with self.chat.client.changes() as changes:
            while not self._is_logged_out() and (batch := await changes.batch()):
                self._take(batch)
        if self._is_logged_out():
            self.post_message(self.LoggedOut(self.chat.client.state.why))

    def _is_logged_out(self) -> bool:
        return self.chat.client.state.phase is Phase.LOGGED_OUT

    def _take(self, batch: list[Change]) -> None:
        what = {change.what for change in batch}
        came_online = not self._online_before and self.chat.client.state.phase is Phase.ONLINE
        self._online_before = self.chat.client.state.phase is Phase.ONLINE
        if self._is_logged_out():
            return
        self._show_status()
        if (
            any(change.what == "server" and change.action == "added" for change in batch)
            or "cache" in what
            or came_online
        ):
            self._load_all()
        if Change("cache", "deleted") in batch:
            self.chat.reading.clear()
        for change in batch:
            if change.what == "member" and change.within == self.server_id and change.id:
                self._tell_of(change)
        if self.channel_id and not self._is_listed(self.channel_id):
            self._close_channel()
        self.conversation.take(batch)
        self.show_rooms()
        if what & {"server", "member", "role", "user", "direct", "friend", "cache", "connection"}:
            self._show_members()

    def _tell_of(self, change: Change) -> None:
        """Others come and go."""
        cache = self.chat.client.cache
        server = cache.servers.get(self.server_id)
        if change.id == cache.user_id or server is None or not server.all_members:
            return
        name = shown_name(cache, self.server_id, str(change.id))
        if change.action == "added":
            self.notify(f"{name} came in", timeout=4, markup=False)
        elif change.action == "deleted":
            self.notify(f"{name} left", timeout=4, markup=False)

    # What is shown.

    def _show_status(self) -> None:
        line = status(self.chat.client.state, self.chat.outbox.count())
        if asking := incoming(self.chat.client.cache):
            line += Content.styled(f" · {asking} want{'s' if asking == 1 else ''} to be your friend (F7)", "$accent")
        self.query_one("#status", Static).update(line)

    def _show_members(self) -> None:
        live = self.chat.client.state.phase is Phase.ONLINE
        cache = self.chat.client.cache
        others = cache.direct_channels.get(self.channel_id, {}).get("user_ids", ())
        self.query_one(Members).show(cache, self.server_id, others, live=live)
        for screen in self.app.screen_stack:
            if isinstance(screen, Friends):
                screen.show(live=live)
            elif isinstance(screen, Roles):
                screen.show()

    def show_rooms(self) -> None:
        self.query_one(Rooms).show(self.chat.client.cache, self.chat.reading, self.channel_id)

    # Opening.

    def open_channel(self, channel_id: str) -> None:
        self.conversation.open(channel_id)
        self.chat.store.channel_id = channel_id
        self.chat.client.focus(f"channel:{channel_id}", f"server:{self.server_id}")
        self.show_rooms()
        self._show_members()
        self._load_members(self.server_id)

    def _close_channel(self) -> None:
        self.notify("You can't see the channel any more that you had open.", severity="warning")
        self.conversation.open("")

    def _is_listed(self, channel_id: str) -> bool:
        cache = self.chat.client.cache
        return channel_id in cache.guilds.server_of or channel_id in cache.direct_channels

    @on(Rooms.Opened)
    def _opened(self, event: Rooms.Opened) -> None:
        self.open_channel(event.channel_id)
        self.query_one(Write).focus()

    # Loading.

    @work(exclusive=True, group="servers")
    async def _load_all(self) -> None:
        client = self.chat.client
        try:
            for server_id in list(await client.load_servers()):
                await client.load_server(server_id)
            await client.load_direct_channels()
            await client.load_read_states()
            await client.load_friends()
        except GuildwireError as error:
            self.log(f"Not all is loaded: {error}")
        else:
            self.show_rooms()
            self.tell_what_was_read()
            listed = [channel["id"] for server in client.cache.servers.values() for channel in server.in_order()]
            if not self.channel_id and listed:
                self.open_channel(listed[0])

    @work(exclusive=True, group="members")
    async def _load_members(self, server_id: str) -> None:
        if server_id in self.chat.client.cache.servers:
            try:
                await self.chat.client.load_members(server_id)
            except GuildwireError as error:
                self.log(f"Members are not loaded: {error}")
        self._show_members()

    def tell_what_was_read(self) -> None:
        if not self._telling and self.chat.reading.untold():
            self._telling = True
            self._tell_what_was_read()

    @work
    async def _tell_what_was_read(self) -> None:
        """One request after the other, however fast messages come. What fails is told when the connection is back."""
        told: list[tuple[str, int]] = []
        try:
            while (untold := self.chat.reading.untold()) != told:
                for channel_id, message_id in untold:
                    await self.chat.client.update_read_state(channel_id, message_id)
                told = untold
        except GuildwireError as error:
            self.log(f"Not told what was read: {error}")
        finally:
            self._telling = False

    # What one does.

    @on(Rooms.Left)
    def _back_to_writing(self) -> None:
        self.conversation.back_to_writing()

    def action_page(self, way: int) -> None:
        self.conversation.page(way)

    def action_hurry(self) -> None:
        self.chat.client.hurry()

    def action_rooms(self) -> None:
        rooms = self.query_one(Rooms)
        rooms.mark(f"channel:{self.channel_id}")
        rooms.focus()

    def action_friends(self) -> None:
        self.app.push_screen(Friends(self))

    def action_write_to(self) -> None:
        self.ask_and_do("Whom to write to, by the names of their accounts:", directs.write_to)

    def action_help(self) -> None:
        actions.show_help(self)

    def action_join(self) -> None:
        self.ask_and_do("An invite's code:", actions.join)

    def action_new_server(self) -> None:
        self.ask_and_do("The new server's name:", actions.new_server)

    def action_new_channel(self) -> None:
        self.ask_and_do("The new channel's name:", actions.new_channel)

    def action_invite(self) -> None:
        self.do(actions.invite(self, ""))

    @work
    async def ask_and_do(self, question: str, action: actions.Action) -> None:
        if (text := await self.app.push_screen_wait(Ask(question))) is not None:
            self.do(action(self, text))

    @work
    async def do(self, doing: Awaitable[None]) -> None:
        """Whatever it is, it ends with what it shows or with why not."""
        try:
            await doing
        except NotFound:
            self.notify("There is no such thing, or it is not for you to see.", severity="error")
        except GuildwireError as error:
            self.notify(trouble(error), severity="error", markup=False)
