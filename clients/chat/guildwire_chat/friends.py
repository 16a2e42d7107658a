"""Friends: who is one, who asks to be, who is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from guildwire import Cache, NotFound
from guildwire.cache.entities import Entity
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from guildwire_chat import directs
from guildwire_chat.dialogs import Confirm
from guildwire_chat.members import dot, shown_name
from guildwire_chat.wording import safe

if TYPE_CHECKING:
    from guildwire_chat.chat import Chat

STATES = {
    "incoming": "wants to be your friend · a: accept · d: decline",
    "friend": "",
    "outgoing": "you have asked · d: call it off",
    "blocked": "blocked by you · d: unblock",
    "blocked_by": "has blocked you",
}
"""In the order in which they are listed."""

ENDS = {
    "incoming": "Decline the request of {}?",
    "friend": "Be friends with {} no more?",
    "outgoing": "Call off your request to {}?",
    "blocked": "Unblock {}?",
}


class Friends(ModalScreen[None]):
    """The list as it is, also while it changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "ask", "Ask"),
        Binding("a", "accept", "Accept"),
        Binding("m,enter", "write_to", "Write to", priority=True),
        Binding("b", "block", "Block"),
        Binding("d", "end", "Decline, end"),
        Binding("escape", "dismiss(None)", "Close"),
    ]

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self._chat = chat

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Friends", classes="title")
            yield OptionList(id="friends", markup=False)
            yield Static(
                "n: ask somebody · m: write to · a: accept · d: decline, end · b: block · Esc: close", classes="hint"
            )

    def on_mount(self) -> None:
        self.show(live=True)

    def show(self, *, live: bool) -> None:
        cache, listed = self._chat.chat.client.cache, self.query_one(OptionList)
        marked = self._marked()
        friends = _in_order(cache)
        listed.set_options(Option(_line(cache, each, live=live), id=each["user_id"]) for each in friends)
        if not friends:
            listed.add_option(Option("Nobody yet: n asks somebody, by the name of the account.", disabled=True))
        ids = [each["user_id"] for each in friends]
        listed.highlighted = ids.index(marked["user_id"]) if marked else 0 if ids else None

    def _marked(self) -> Entity | None:
        option = self.query_one(OptionList).highlighted_option
        return self._chat.chat.client.cache.friends.all.get(option.id or "") if option is not None else None

    def action_ask(self) -> None:
        self._chat.ask_and_do("The name of the account:", ask)

    def action_accept(self) -> None:
        marked = self._marked()
        if marked is not None and marked["state"] == "incoming":
            self._chat.do(accept(self._chat, marked["user_id"]))

    def action_block(self) -> None:
        if (marked := self._marked()) is not None:
            self._chat.do(block(self._chat, marked["user_id"]))

    def action_end(self) -> None:
        marked = self._marked()
        if marked is not None and marked["state"] in ENDS:
            self._chat.do(end(self._chat, marked))

    def action_write_to(self) -> None:
        if (marked := self._marked()) is not None:
            self.dismiss(None)
            self._chat.do(directs.open_with(self._chat, [marked["user_id"]]))


def incoming(cache: Cache) -> int:
    """How many wait for an answer."""
    return sum(friend["state"] == "incoming" for friend in cache.friends.all.values())


async def ask(chat: Chat, name: str) -> None:
    try:
        friend = await chat.chat.client.add_friend(name=name.removeprefix("@").lower())
    except NotFound:
        chat.notify("Nobody has this name, or you can't ask them.", severity="error")
        return
    shown = safe(friend["user"]["display_name"])
    told = f"You are friends with {shown} now." if friend["state"] == "friend" else f"{shown} is asked."
    chat.notify(told, markup=False)


async def accept(chat: Chat, user_id: str) -> None:
    await chat.chat.client.update_friend(user_id, "friend")


async def block(chat: Chat, user_id: str) -> None:
    name = shown_name(chat.chat.client.cache, "", user_id)
    if await chat.app.push_screen_wait(Confirm(f"Block {name}? You two can't write to each other directly then.")):
        await chat.chat.client.update_friend(user_id, "blocked")


async def block_named(chat: Chat, name: str) -> None:
    user_id = directs.user_named(chat.chat.client.cache, name)
    if user_id is None:
        chat.notify("You have met nobody of this name.", severity="warning")
    else:
        await block(chat, user_id)


async def end(chat: Chat, friend: Entity) -> None:
    name = shown_name(chat.chat.client.cache, "", friend["user_id"])
    if await chat.app.push_screen_wait(Confirm(ENDS[friend["state"]].format(name))):
        await chat.chat.client.delete_friend(friend["user_id"])


def _in_order(cache: Cache) -> list[Entity]:
    states = list(STATES)
    return sorted(
        cache.friends.all.values(),
        key=lambda each: (states.index(each["state"]), shown_name(cache, "", each["user_id"]).lower()),
    )


def _line(cache: Cache, friend: Entity, *, live: bool) -> Content:
    user = cache.users.get(friend["user_id"]) or {}
    name = shown_name(cache, "", friend["user_id"])
    words = STATES[friend["state"]]
    account = f"@{user['name']}" if user else ""
    return Content.assemble(
        dot(user, live=live), f" {name} ", (account, "dim"), (f" — {words}" if words else "", "$warning")
    )
