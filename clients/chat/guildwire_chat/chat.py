"""The screen one chats on: rooms, messages, members, and what the connection is doing."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar, cast

from guildwire import Change, GuildwireError, NotFound, Outgoing, Phase
from guildwire.cache.entities import Entity
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from guildwire_chat import actions
from guildwire_chat.dialogs import Ask
from guildwire_chat.members import Members, shown_name
from guildwire_chat.messages import MessageList, rows_of
from guildwire_chat.rooms import Rooms
from guildwire_chat.wording import safe, status, trouble
from guildwire_chat.write import Write

if TYPE_CHECKING:
    from guildwire_chat.app import ChatApp

STEP = 50
"""Messages that are loaded, and shown, at a time."""

MOST_SHOWN = 5_000


class Chat(Screen[None]):
    """It shows the cache as it is; what is not acknowledged yet comes from the outbox, and looks different."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help"),
        Binding("f2", "join", "Join"),
        Binding("f3", "new_server", "New server"),
        Binding("f4", "new_channel", "New channel"),
        Binding("f5", "invite", "Invite"),
        Binding("f6", "rooms", "Rooms"),
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
        self.server_id = ""
        self.channel_id = ""
        self._lowest = 0
        self._editing: Entity | None = None

    @property
    def chat(self) -> ChatApp:
        return cast("ChatApp", self.app)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Rooms(id="rooms")
            with Vertical():
                yield Static(id="title")
                yield MessageList(id="messages")
                yield Static(id="below")
                yield Write(
                    placeholder="Write here · ↑ picks a message · /help",
                    id="write",
                    max_length=4000,
                    select_on_focus=False,
                )
            yield Members(id="members")
        yield Static(id="status")
        yield Footer()

    def on_mount(self) -> None:
        self._follow()
        self._load_servers()
        self.set_interval(0.5, self._show_status)
        if self._is_listed(self.chat.store.channel_id):
            self.open_channel(self.chat.store.channel_id)
        self._show_rooms()
        self._show_status()
        self.query_one(Write).focus()

    # What changes.

    @work
    async def _follow(self) -> None:
        with self.chat.client.changes() as changes:
            while batch := await changes.batch():
                self._take(batch)

    def _take(self, batch: list[Change]) -> None:
        what = {change.what for change in batch}
        if self.chat.client.state.phase is Phase.LOGGED_OUT:
            self.post_message(self.LoggedOut(self.chat.client.state.why))
            return
        self._show_status()
        if any(change.what == "server" and change.action == "added" for change in batch) or "cache" in what:
            self._load_servers()
        for change in batch:
            if (
                change.what == "member"
                and change.within == self.server_id in self.chat.client.cache.servers
                and change.id
            ):
                self._tell_of(change)
        if self.channel_id and not self._is_listed(self.channel_id):
            self._close_channel()
        self._show_rooms()
        if what & {"member", "user", "cache", "connection"}:
            self._show_members()
        if any(self._is_about_this_channel(change) for change in batch):
            self._show_messages()

    def _is_about_this_channel(self, change: Change) -> bool:
        if change.what in {"message", "outgoing", "page"}:
            return self.channel_id in {change.within, change.id}
        return change.what in {"user", "member", "cache", "channel", "server"}

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
        self.query_one("#status", Static).update(status(self.chat.client.state, self.chat.outbox.count()))

    def _show_members(self) -> None:
        live = self.chat.client.state.phase is Phase.ONLINE
        self.query_one(Members).show(self.chat.client.cache, self.server_id, live=live)

    def _show_rooms(self) -> None:
        cache, seen = self.chat.client.cache, self.chat.store.seen
        unread = {
            channel_id: sum(
                number > seen.get(channel_id, 0) and message["author_id"] != cache.user_id
                for number, message in pages.messages.items()
            )
            for channel_id, pages in cache.messages.pages.items()
        }
        self.query_one(Rooms).show(cache, unread, self.channel_id)

    def _show_messages(self, *, anew: bool = False) -> None:
        cache = self.chat.client.cache
        pages = cache.pages(self.channel_id)
        messages = self._shown()
        authors = {message["author_id"] for message in messages} | {cache.user_id}
        names = {user_id: shown_name(cache, self.server_id, user_id) for user_id in authors}
        unknown = {user_id for user_id in authors if cache.users.get(user_id) is None}
        rows = rows_of(messages, self.chat.outbox.waiting(self.channel_id), names, cache.user_id)
        self.query_one(MessageList).show(rows, anew=anew)
        self._note_what_was_seen(messages)
        if unknown and self.chat.client.state.phase is Phase.ONLINE:
            self._load_users(unknown)
        if self.channel_id and not pages.live_end:
            self._load_messages(self.channel_id)

    def _note_what_was_seen(self, messages: list[Entity]) -> None:
        """Who reads further back has not seen what came since."""
        seen, below = self.chat.store.seen, self.query_one("#below", Static)
        if messages and (self.query_one(MessageList).follows or self.channel_id not in seen):
            seen[self.channel_id] = messages[-1]["id"]
        new = sum(message["id"] > seen.get(self.channel_id, 0) for message in messages)
        below.update(f"↓ {new} new below" if new else "")
        below.display = bool(new)

    @on(MessageList.AtEnd)
    def _at_end(self) -> None:
        self._note_what_was_seen(self._shown())
        self._show_rooms()

    def _shown(self) -> list[Entity]:
        """From the oldest message that was read back to, up to the newest; not all of a long day at its end."""
        held = self.chat.client.cache.pages(self.channel_id).newest(MOST_SHOWN)
        shown = [message for message in held if message["id"] >= self._lowest] if self._lowest else held[-STEP:]
        if len(shown) > 4 * STEP and self.query_one(MessageList).follows:
            shown = shown[-STEP:]
        self._lowest = shown[0]["id"] if shown else 0
        return shown

    def _show_title(self) -> None:
        server, channel = (
            self.chat.client.cache.servers.get(self.server_id),
            self.chat.client.cache.channel(self.channel_id),
        )
        name = safe(server.entity["name"]) if server else "No server open"
        title = Content.assemble((name, "bold"), f"  ·  # {safe(channel['name'])}" if channel else "")
        if channel and channel.get("description"):
            title += Content.styled(f"  {safe(channel['description'])}", "dim")
        self.query_one("#title", Static).update(title)

    # Opening.

    def open_channel(self, channel_id: str) -> None:
        cache = self.chat.client.cache
        self.channel_id, self._lowest = channel_id, 0
        self.server_id = cache.guilds.server_of.get(channel_id, "")
        self.chat.store.channel_id = channel_id
        self.chat.client.focus(f"channel:{channel_id}", f"server:{self.server_id}")
        self._show_title()
        self._show_messages(anew=True)
        self._show_rooms()
        self._show_members()
        self._load_messages(channel_id)
        self._load_members(self.server_id)

    def _close_channel(self) -> None:
        self.notify("You can't see the channel any more that you had open.", severity="warning")
        self.channel_id = self.server_id = ""
        self._show_title()
        self._show_messages(anew=True)

    def _is_listed(self, channel_id: str) -> bool:
        return channel_id in self.chat.client.cache.guilds.server_of

    @on(Rooms.Opened)
    def _opened(self, event: Rooms.Opened) -> None:
        self.open_channel(event.channel_id)
        self.query_one(Write).focus()

    # Loading. Without a connection what is shown stays as it is: the status line says so.

    @work(exclusive=True, group="servers")
    async def _load_servers(self) -> None:
        client = self.chat.client
        try:
            for server_id in list(await client.load_servers()):
                await client.load_server(server_id)
        except GuildwireError as error:
            self.log(f"Servers are not loaded: {error}")
        else:
            listed = [channel["id"] for server in client.cache.servers.values() for channel in server.in_order()]
            if not self.channel_id and listed:
                self.open_channel(listed[0])
            elif not listed:
                self.query_one("#title", Static).update("In no server yet: F2 joins, F3 makes one.")

    @work(exclusive=True, group="messages")
    async def _load_messages(self, channel_id: str) -> None:
        await self._quietly(self.chat.client.load_messages(channel_id, STEP))

    @work(exclusive=True, group="members")
    async def _load_members(self, server_id: str) -> None:
        if server_id in self.chat.client.cache.servers:
            await self._quietly(self.chat.client.load_members(server_id))
        self._show_members()

    @work(exclusive=True, group="users")
    async def _load_users(self, user_ids: set[str]) -> None:
        await self._quietly(self.chat.client.load_users(user_ids))

    async def _quietly(self, loading: Awaitable[object]) -> None:
        try:
            await loading
        except GuildwireError as error:
            self.log(f"Not loaded: {error}")

    @on(MessageList.Older)
    @work(exclusive=True, group="older")
    async def _load_older(self) -> None:
        channel_id, lowest = self.channel_id, self._lowest
        if not lowest or self.chat.client.cache.pages(channel_id).has_before(lowest) is False:
            return
        try:
            older = await self.chat.client.load_older(channel_id, lowest, STEP)
        except GuildwireError as error:
            self.notify(f"Older messages can't be read now: {trouble(error)}", severity="warning", markup=False)
            return
        if older and (channel_id, lowest) == (self.channel_id, self._lowest):
            self._lowest = older[0]["id"]
            self._show_messages()

    # Writing.

    @on(Input.Submitted, "#write")
    def _written(self, event: Input.Submitted) -> None:
        text, editing = event.value.strip(), self._editing
        self._edit(None)
        if not text:
            return
        if editing is not None:
            self.do(actions.edit(self, editing, text))
        elif text.startswith("/"):
            actions.command(self, text)
        elif not self.channel_id:
            self.notify("Open a channel first: F2 joins a server, F3 makes one.", severity="warning")
        else:
            self.query_one(MessageList).follows = True
            self.chat.outbox.send(self.channel_id, text)

    @on(MessageList.Act)
    def _act(self, event: MessageList.Act) -> None:
        what = event.what
        if isinstance(what, Outgoing):
            if what.problem and event.act == "retry":
                self.chat.outbox.retry(what)
            elif what.problem and event.act == "delete":
                self.chat.outbox.discard(what)
        elif what["author_id"] != self.chat.client.cache.user_id:
            self.notify("That message is not yours.", severity="warning")
        elif event.act == "edit":
            self._edit(what)
            write = self.query_one(Write)
            write.value = what["content"].replace("\n", " ")
            write.cursor_position = len(write.value)
            write.focus()
        elif event.act == "delete":
            self.do(actions.delete(self, what))
            self._back_to_writing()

    @on(Write.Up)
    def _pick_message(self) -> None:
        messages = self.query_one(MessageList)
        messages.focus()
        messages.mark_last(self.chat.client.cache.user_id)

    @on(Write.CalledOff)
    def _stop_editing(self) -> None:
        if self._editing is not None:
            self._edit(None)
            self.query_one(Write).clear()

    def _edit(self, message: Entity | None) -> None:
        self._editing = message
        self.query_one(Write).border_title = "Editing · Esc: leave it as it was" if message is not None else ""

    @on(MessageList.Left)
    @on(Rooms.Left)
    def _back_to_writing(self) -> None:
        self.query_one(MessageList).highlighted = None
        self.query_one(Write).focus()

    def action_page(self, way: int) -> None:
        messages = self.query_one(MessageList)
        messages.scroll_relative(y=way * max(messages.size.height - 2, 1), animate=False)

    def action_hurry(self) -> None:
        self.chat.client.hurry()

    def action_rooms(self) -> None:
        rooms = self.query_one(Rooms)
        rooms.mark(f"channel:{self.channel_id}")
        rooms.focus()

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
