"""What one can do beside writing: by a key, or by a line that begins with a slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from guildwire import NotFound
from guildwire.cache.entities import Entity

from guildwire_chat.dialogs import Confirm, Show
from guildwire_chat.wording import safe

if TYPE_CHECKING:
    from guildwire_chat.chat import Chat

Action = Callable[["Chat", str], Awaitable[None]]

HELP = """\
Write, and press Enter. ↑ goes up into the messages; there:
  e  edit yours    d  delete yours    r  send again what was not sent    Esc  back
PageUp / PageDown read back; older messages come as you get there.
F6 goes to the rooms: ↑ ↓, Enter opens one. Ctrl+R tries to connect without waiting. Ctrl+Q leaves.

/join CODE        join a server with an invite     (F2)
/server NAME      make a server                    (F3)
/channel NAME     make a channel in this server    (F4)
/invite [USES]    a code that lets others in       (F5)
/leave            leave this server
/name NAME        be shown as something else
/status TEXT      say what you are doing; nothing clears it
/logout           log out on this and every other window of this session
/quit             the session stays, for the next time

Below it says what the connection is doing. A message that is still “sending” has not reached the server."""


async def join(chat: Chat, code: str) -> None:
    try:
        server = await chat.chat.client.join_server(code.strip())
    except NotFound:
        chat.notify("No such invite: it is mistyped, expired or used up.", severity="error")
    else:
        await open_server(chat, server["id"])


async def new_server(chat: Chat, name: str) -> None:
    server = await chat.chat.client.add_server(name)
    await open_server(chat, server["id"])


async def open_server(chat: Chat, server_id: str) -> None:
    channels = (await chat.chat.client.load_server(server_id)).in_order()
    if channels:
        chat.open_channel(channels[0]["id"])


async def new_channel(chat: Chat, name: str) -> None:
    if not chat.server_id:
        chat.notify("Open a server first.", severity="warning")
        return
    channel = await chat.chat.client.add_channel(chat.server_id, name)
    await chat.chat.client.load_server(chat.server_id)
    if chat.chat.client.cache.channel(channel["id"]) is not None:
        chat.open_channel(channel["id"])


async def invite(chat: Chat, uses: str) -> None:
    if not chat.server_id:
        chat.notify("Open a server first.", severity="warning")
        return
    made = await chat.chat.client.add_invite(chat.server_id, max_uses=int(uses) if uses.isdigit() else None)
    left = f"It works {made['max_uses']} times." if made["max_uses"] else "It works for anyone who has it."
    await chat.app.push_screen(
        Show("An invite", f"{made['code']}\n\nOthers enter it with F2, or /join {made['code']}\n{left}")
    )


async def leave(chat: Chat, _text: str) -> None:
    server = chat.chat.client.cache.servers.get(chat.server_id)
    if server is not None and await chat.app.push_screen_wait(Confirm(f"Leave {safe(server.entity['name'])}?")):
        await chat.chat.client.leave_server(server.entity["id"])


async def edit(chat: Chat, message: Entity, text: str) -> None:
    await chat.chat.client.update_message(message["channel_id"], message["id"], text)


async def delete(chat: Chat, message: Entity) -> None:
    if await chat.app.push_screen_wait(Confirm(f"Delete this message?\n\n{safe(message['content'])[:200]}")):
        await chat.chat.client.delete_message(message["channel_id"], message["id"])


async def rename(chat: Chat, name: str) -> None:
    if name:
        await chat.chat.client.update_user({"display_name": name})


async def say_status(chat: Chat, text: str) -> None:
    await chat.chat.client.update_user({"status_text": text or None})


async def logout(chat: Chat, _text: str) -> None:
    await chat.chat.client.logout()


async def leave_app(chat: Chat, _text: str) -> None:
    await chat.chat.action_quit()


async def say_help(chat: Chat, _text: str) -> None:
    show_help(chat)


COMMANDS: dict[str, Action] = {
    "join": join,
    "server": new_server,
    "channel": new_channel,
    "invite": invite,
    "leave": leave,
    "name": rename,
    "status": say_status,
    "logout": logout,
    "quit": leave_app,
    "help": say_help,
}

NEED_A_NAME = frozenset({"join", "server", "channel", "name"})


def command(chat: Chat, line: str) -> None:
    word, _, rest = line[1:].partition(" ")
    action = COMMANDS.get(word.lower())
    if action is None:
        chat.notify(f"There is no /{word}: /help lists what there is.", severity="warning", markup=False)
    elif word.lower() in NEED_A_NAME and not rest.strip():
        chat.notify(f"/{word.lower()} wants something behind it: /help says what.", severity="warning")
    else:
        chat.do(action(chat, rest.strip()))


def show_help(chat: Chat) -> None:
    chat.app.push_screen(Show("Help", HELP))
