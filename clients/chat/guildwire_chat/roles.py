"""A server's roles: which one somebody has, and giving and taking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from guildwire.cache.entities import Entity
from guildwire.cache.servers import CachedServer
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from guildwire_chat.directs import user_named
from guildwire_chat.members import shown_name
from guildwire_chat.wording import safe

if TYPE_CHECKING:
    from guildwire_chat.chat import Chat


class Roles(ModalScreen[None]):
    """All roles of the open server but `everyone`, the highest first, with a mark at those that the member has."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "make", "New role"),
        Binding("escape", "dismiss(None)", "Close"),
    ]

    def __init__(self, chat: Chat, server_id: str, user_id: str) -> None:
        super().__init__()
        self._chat = chat
        self._server_id = server_id
        self._user_id = user_id

    def compose(self) -> ComposeResult:
        name = shown_name(self._chat.chat.client.cache, self._server_id, self._user_id)
        with Vertical(classes="dialog"):
            yield Static(f"Roles of {name}", classes="title", markup=False)
            yield OptionList(id="roles", markup=False)
            yield Static("Enter: give or take · n: new role · Esc: close", classes="hint")

    def on_mount(self) -> None:
        self.show()

    def show(self) -> None:
        server = self._chat.chat.client.cache.servers.get(self._server_id)
        member = server.members.get(self._user_id) if server is not None else None
        if server is None or member is None:
            self.dismiss(None)
            return
        listed = self.query_one(OptionList)
        marked, roles = listed.highlighted or 0, given_by_hand(server)
        listed.set_options(Option(_line(role, held=role["id"] in member["roles"]), id=role["id"]) for role in roles)
        if roles:
            listed.highlighted = min(marked, len(roles) - 1)
        else:
            listed.add_option(Option("None yet: n makes one.", disabled=True))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id is not None:
            self._chat.do(give_or_take(self._chat, self._server_id, self._user_id, event.option.id))

    def action_make(self) -> None:
        self._chat.ask_and_do("The new role's name:", make)


def given_by_hand(server: CachedServer) -> list[Entity]:
    """The highest first. `everyone`, whose name and place are fixed, is every member's."""
    roles = [role for role in server.roles.values() if (role["position"], role["name"]) != (0, "everyone")]
    return sorted(roles, key=lambda role: (role["position"], role["id"]), reverse=True)


async def give_or_take(chat: Chat, server_id: str, user_id: str, role_id: str) -> None:
    held = chat.chat.client.cache.servers[server_id].members[user_id]["roles"]
    roles = [each for each in held if each != role_id] if role_id in held else [*held, role_id]
    await chat.chat.client.update_member(server_id, user_id, {"roles": roles})


async def make(chat: Chat, name: str) -> None:
    """It gives no rights by itself: its members stand apart, and channels may be open to them."""
    await chat.chat.client.add_role(chat.server_id, name, "", [])


async def roles_of(chat: Chat, name: str) -> None:
    """By the name of the account; one's own without a name."""
    cache = chat.chat.client.cache
    server = cache.servers.get(chat.server_id)
    user_id = user_named(cache, name) if name else cache.user_id
    if server is None or user_id not in server.members:
        chat.notify("No such member in the open server.", severity="warning")
    else:
        chat.app.push_screen(Roles(chat, chat.server_id, user_id))


def _line(role: Entity, *, held: bool) -> Content:
    rules = ", ".join(role["rules"]).replace("_", " ")
    return Content.assemble(
        ("✓ " if held else "  ", "bold $success"), safe(role["name"]), (f" — {rules}" if rules else "", "dim")
    )
