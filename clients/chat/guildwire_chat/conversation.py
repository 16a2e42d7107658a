"""The open channel: what was said in it, and the line one writes on."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, cast

from guildwire import Change, GuildwireError, Outgoing, Phase
from guildwire.cache.entities import Entity
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from guildwire_chat import actions
from guildwire_chat.directs import others_in
from guildwire_chat.lines import Lines
from guildwire_chat.members import shown_name
from guildwire_chat.mentions import SENT, to_edit, to_send, who_can_be_named
from guildwire_chat.messages import MessageList, rows_of
from guildwire_chat.typing_signs import TypingSigns, sentence
from guildwire_chat.wording import safe, trouble
from guildwire_chat.write import Write

if TYPE_CHECKING:
    from guildwire_chat.app import ChatApp
    from guildwire_chat.chat import Chat

STEP = 50
"""Messages that are loaded, and shown, at a time."""

MOST_SHOWN = 5_000

NOTHING_OPEN = "F3 makes a server · F2 joins one with an invite · F8 writes to somebody"


class Conversation(Vertical):
    """It shows the cache as it is; what is not acknowledged yet comes from the outbox, and looks different."""

    def __init__(self) -> None:
        super().__init__()
        self.channel_id = ""
        self._lowest = 0
        self._asked_for: set[int] = set()
        self._signs = TypingSigns()

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield MessageList(id="messages")
        yield Static(id="below")
        yield Static(id="typing", markup=False)
        yield Write()

    def on_mount(self) -> None:
        self.set_interval(1, self._show_typing)
        self.show_title()

    @property
    def chat(self) -> Chat:
        return cast("Chat", self.screen)

    @property
    def here(self) -> ChatApp:
        return cast("ChatApp", self.app)

    @property
    def server_id(self) -> str:
        return self.here.client.cache.guilds.server_of.get(self.channel_id, "")

    def open(self, channel_id: str) -> None:
        self.channel_id, self._lowest, self._asked_for = channel_id, 0, set()
        self.query_one(Write).action_call_off()
        self.show_title()
        self.show(anew=True)
        if channel_id:
            self._load_messages(channel_id)

    def take(self, batch: list[Change]) -> None:
        """What changed, as far as it is shown here."""
        for change in batch:
            self._note_typing(change)
        self._show_typing()
        if any(self._shows(change) for change in batch):
            self.show_title()
            self.show()

    def _shows(self, change: Change) -> bool:
        if change.what in {"message", "outgoing", "page", "read"}:
            return self.channel_id in {change.within, change.id}
        return change.what in {"user", "member", "cache", "channel", "server", "direct"}

    def _note_typing(self, change: Change) -> None:
        cache = self.here.client.cache
        if change.what == "typing" and change.id != cache.user_id:
            self._signs.began(change.within, str(change.id))
        elif change.what == "message" and change.action == "added":
            message = cache.message(change.within, int(change.id))
            if message is not None:
                self._signs.said(change.within, message["author_id"])

    # What is shown.

    def _show_typing(self) -> None:
        cache, line = self.here.client.cache, self.query_one("#typing", Static)
        names = [shown_name(cache, self.server_id, user_id) for user_id in self._signs.in_channel(self.channel_id)]
        if str(line.content) != sentence(names):
            line.update(sentence(names))

    def show_title(self) -> None:
        cache, line = self.here.client.cache, self.query_one("#title", Static)
        line.set_class(self.server_id not in cache.servers, "wraps")
        if self.channel_id in cache.direct_channels:
            line.update(Content.styled(f"@ {', '.join(others_in(cache, self.channel_id))}", "bold"))
            return
        server, channel = cache.servers.get(self.server_id), cache.channel(self.channel_id)
        name = safe(server.entity["name"]) if server else NOTHING_OPEN
        title = Content.assemble((name, "bold"), f"  ·  # {safe(channel['name'])}" if channel else "")
        if channel and channel.get("description"):
            title += Content.styled(f"  {safe(channel['description'])}", "dim")
        line.update(title)

    def show(self, *, anew: bool = False) -> None:
        cache = self.here.client.cache
        pages = cache.pages(self.channel_id)
        messages = self._shown()
        waiting = self.here.outbox.waiting(self.channel_id)
        targets = self._targets([message["reply_to"] for message in messages] + [each.reply_to for each in waiting])
        names = self._names([*messages, *targets.values()], [each.content for each in waiting])
        self.query_one(MessageList).show(rows_of(messages, waiting, Lines(names, cache.user_id, targets)), anew=anew)
        self._note_what_was_seen(messages)
        if self.channel_id and not pages.live_end:
            self._load_messages(self.channel_id)

    def _targets(self, message_ids: list[int | None]) -> dict[int, Entity]:
        """What is answered; what is not here is asked for once, for it may have been deleted."""
        held = self.here.client.cache.pages(self.channel_id).messages
        wanted = {message_id for message_id in message_ids if message_id is not None}
        missing = wanted - held.keys() - self._asked_for
        if missing and self.here.client.state.phase is Phase.ONLINE:
            self._asked_for |= missing
            self._load_targets(self.channel_id, missing)
        return {message_id: held[message_id] for message_id in wanted & held.keys()}

    def _names(self, messages: list[Entity], unsent: Sequence[str] = ()) -> dict[str, str]:
        """Of the authors, and of those whom they name, or whom I am about to."""
        cache = self.here.client.cache
        user_ids = {message["author_id"] for message in messages} | {cache.user_id}
        user_ids |= {user_id for message in messages for user_id in message["mentions"]}
        user_ids |= {user_id for text in unsent for user_id in SENT.findall(text)}
        unknown = {user_id for user_id in user_ids if cache.users.get(user_id) is None}
        if unknown and self.here.client.state.phase is Phase.ONLINE:
            self._load_users(unknown)
        return {user_id: shown_name(cache, self.server_id, user_id) for user_id in user_ids}

    def _note_what_was_seen(self, messages: list[Entity]) -> None:
        """Who reads further back has not seen what came since."""
        reading, below = self.here.reading, self.query_one("#below", Static)
        if messages and self.query_one(MessageList).follows:
            reading.look_at(self.channel_id)
            self.chat.tell_what_was_read()
        read_id = reading.read_id(self.channel_id)
        new = 0 if read_id is None else sum(message["id"] > read_id for message in messages)
        below.update(f"↓ {new} new below" if new else "")
        below.display = bool(new)

    @on(MessageList.AtEnd)
    def _at_end(self) -> None:
        self._note_what_was_seen(self._shown())
        self.chat.show_rooms()

    def _shown(self) -> list[Entity]:
        """From the oldest message that was read back to, up to the newest; not all of a long day at its end."""
        held = self.here.client.cache.pages(self.channel_id).newest(MOST_SHOWN)
        shown = [message for message in held if message["id"] >= self._lowest] if self._lowest else held[-STEP:]
        if len(shown) > 4 * STEP and self.query_one(MessageList).follows:
            shown = shown[-STEP:]
        self._lowest = shown[0]["id"] if shown else 0
        return shown

    def page(self, way: int) -> None:
        """Back or forth by a screen."""
        messages = self.query_one(MessageList)
        messages.scroll_relative(y=way * max(messages.size.height - 2, 1), animate=False)

    # Loading. Without a connection what is shown stays as it is: the status line says so.

    @work(exclusive=True, group="messages")
    async def _load_messages(self, channel_id: str) -> None:
        await self._quietly(self.here.client.load_messages(channel_id, STEP))

    @work(group="targets")
    async def _load_targets(self, channel_id: str, message_ids: set[int]) -> None:
        for message_id in message_ids:
            await self._quietly(self.here.client.get_message_chunk(channel_id, 1, around=message_id))

    @work(exclusive=True, group="users")
    async def _load_users(self, user_ids: set[str]) -> None:
        await self._quietly(self.here.client.load_users(user_ids))

    async def _quietly(self, loading: Awaitable[object]) -> None:
        try:
            await loading
        except GuildwireError as error:
            self.log(f"Not loaded: {error}")

    @on(MessageList.Older)
    @work(exclusive=True, group="older")
    async def _load_older(self) -> None:
        channel_id, lowest = self.channel_id, self._lowest
        if not lowest or self.here.client.cache.pages(channel_id).has_before(lowest) is False:
            return
        try:
            older = await self.here.client.load_older(channel_id, lowest, STEP)
        except GuildwireError as error:
            self.notify(f"Older messages can't be read now: {trouble(error)}", severity="warning", markup=False)
            return
        if older and (channel_id, lowest) == (self.channel_id, self._lowest):
            self._lowest = older[0]["id"]
            self.show()

    # Writing.

    @on(Input.Changed, "#write")
    def _typed(self, event: Input.Changed) -> None:
        """Others see it, unless it is a command, or nothing yet."""
        text, online = event.value.strip(), self.here.client.state.phase is Phase.ONLINE
        if text and not text.startswith("/") and self.channel_id and online and self._signs.is_due(self.channel_id):
            self._tell_of_typing(self.channel_id)

    @work(group="typing")
    async def _tell_of_typing(self, channel_id: str) -> None:
        await self._quietly(self.here.client.start_typing(channel_id))

    @on(Input.Submitted, "#write")
    def _written(self, event: Input.Submitted) -> None:
        text, write = event.value.strip(), self.query_one(Write)
        editing, replying = write.editing, write.replying
        write.begin_anew()
        if not text:
            return
        cache = self.here.client.cache
        if editing is not None:
            self.chat.do(actions.edit(self.chat, editing, to_send(text, who_can_be_named(cache, self.channel_id))))
        elif text.startswith("/"):
            actions.command(self.chat, text)
        elif not self.channel_id:
            self.notify("Open a channel first: F2 joins a server, F3 makes one.", severity="warning")
        else:
            self.query_one(MessageList).follows = True
            content = to_send(text, who_can_be_named(cache, self.channel_id))
            self._signs.i_said()
            self.here.outbox.send(self.channel_id, content, reply_to=replying["id"] if replying else None)

    @on(MessageList.Act)
    def _act(self, event: MessageList.Act) -> None:
        if isinstance(event.what, Outgoing):
            self._act_on_outgoing(event.act, event.what)
        else:
            self._act_on_message(event.act, event.what)

    def _act_on_message(self, act: str, message: Entity) -> None:
        cache, write = self.here.client.cache, self.query_one(Write)
        if act == "reply":
            write.reply(message, Lines(self._names([message]), cache.user_id, {}).beginning(message))
        elif act == "react":
            self.chat.do(actions.react(self.chat, message))
        elif act == "edit" and message["author_id"] == cache.user_id:
            write.edit(message, to_edit(message["content"], who_can_be_named(cache, self.channel_id)))
        elif act == "delete":
            self.chat.do(actions.delete(self.chat, message))
            self.back_to_writing()
        else:
            self.notify("That message is not yours.", severity="warning")

    def _act_on_outgoing(self, act: str, outgoing: Outgoing) -> None:
        if outgoing.problem and act == "reply":
            self.here.outbox.retry(outgoing)
        elif outgoing.problem and act == "delete":
            self.here.outbox.discard(outgoing)

    @on(Write.Up)
    def _pick_message(self) -> None:
        messages = self.query_one(MessageList)
        messages.focus()
        messages.mark_last(self.here.client.cache.user_id)

    @on(MessageList.Left)
    def back_to_writing(self) -> None:
        self.query_one(MessageList).highlighted = None
        self.query_one(Write).focus()
