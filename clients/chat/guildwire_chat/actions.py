"""What one can do beside writing: by a key, or by a line that begins with a slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from guildwire import NotFound
from guildwire.cache.entities import Entity

from guildwire_chat import directs, friends, reactions, roles
from guildwire_chat.dialogs import Ask, Confirm, Show
from guildwire_chat.wording import safe

if TYPE_CHECKING:
    from guildwire_chat.chat import Chat

Action = Callable[["Chat", str], Awaitable[None]]

HELP = """\
Write, and press Enter. ↑ goes up into the messages; there:
  r  reply, or send again what was not sent    +  react, or take it back
  e  edit yours    d  delete    Esc  back
@name names someone: they are told how often. PageUp / PageDown read back; older messages come as you get there.
F6 goes to the rooms: ↑ ↓, Enter opens one. Ctrl+R tries to connect without waiting. Ctrl+Q leaves.

/join CODE        join a server with an invite     (F2)
/server NAME      make a server                    (F3)
/channel NAME     make a channel in this server    (F4); CATEGORY/NAME: in that category
/category NAME    make a category in this server
/invite [USES]    a code that lets others in       (F5)
/roles [NAME]     the roles of a member, or yours: give, take, make some
/leave            leave this server, or this direct channel
/dm NAME …        write to people directly         (F8)
/friend NAME      ask somebody to be your friend   (F7 lists all, and answers)
/block NAME       block somebody
/name NAME        be shown as something else
/nick NAME        the same in this server alone; without a NAME: cleared
/status TEXT      say what you are doing; without a TEXT: cleared
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
    """`Kitchen/stove`: in that category; without one it stands where the open channel does."""
    server = chat.chat.client.cache.servers.get(chat.server_id)
    if server is None:
        chat.notify("Open a server first.", severity="warning")
        return
    category_id = server.channels[chat.channel_id].get("category_id")
    within, slash, rest = name.partition("/")
    if slash:
        named = {each["name"].lower(): each["id"] for each in server.categories.values()}
        category_id, name = named.get(within.strip().lower()), rest.strip()
        if category_id is None:
            chat.notify(f"There is no category {within.strip()!r} in this server.", severity="warning", markup=False)
            return
    channel = await chat.chat.client.add_channel(chat.server_id, name, category_id=category_id)
    await chat.chat.client.load_server(chat.server_id)
    if chat.chat.client.cache.channel(channel["id"]) is not None:
        chat.open_channel(channel["id"])


async def new_category(chat: Chat, name: str) -> None:
    if chat.server_id:
        await chat.chat.client.add_category(chat.server_id, name)
    else:
        chat.notify("Open a server first.", severity="warning")


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
    if chat.channel_id in chat.chat.client.cache.direct_channels:
        await directs.leave(chat, chat.channel_id)
        return
    server = chat.chat.client.cache.servers.get(chat.server_id)
    if server is not None and await chat.app.push_screen_wait(Confirm(f"Leave {safe(server.entity['name'])}?")):
        await chat.chat.client.leave_server(server.entity["id"])


async def edit(chat: Chat, message: Entity, text: str) -> None:
    await chat.chat.client.update_message(message["channel_id"], message["id"], text)


async def delete(chat: Chat, message: Entity) -> None:
    if await chat.app.push_screen_wait(Confirm(f"Delete this message?\n\n{safe(message['content'])[:200]}")):
        await chat.chat.client.delete_message(message["channel_id"], message["id"])


async def react(chat: Chat, message: Entity) -> None:
    """A reaction that is one's own already is taken back."""
    answer = await chat.app.push_screen_wait(Ask(reactions.QUESTION, hint=reactions.HINT))
    if answer is None:
        return
    channel_id, message_id, emoji = message["channel_id"], message["id"], reactions.chosen(answer)
    now = chat.chat.client.cache.message(channel_id, message_id)
    if now is not None and reactions.is_mine(now, emoji):
        await chat.chat.client.delete_reaction(channel_id, message_id, emoji)
    else:
        await chat.chat.client.add_reaction(channel_id, message_id, emoji)


async def rename(chat: Chat, name: str) -> None:
    if name:
        await chat.chat.client.update_user({"display_name": name})


async def be_called(chat: Chat, nick: str) -> None:
    """Without a nick the name is shown again."""
    me = chat.chat.client.cache.user_id
    if chat.server_id:
        await chat.chat.client.update_member(chat.server_id, me, {"nick": nick or None})
    else:
        chat.notify("Open a server first.", severity="warning")


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
    "category": new_category,
    "invite": invite,
    "roles": roles.roles_of,
    "leave": leave,
    "dm": directs.write_to,
    "friend": friends.ask,
    "block": friends.block_named,
    "name": rename,
    "nick": be_called,
    "status": say_status,
    "logout": logout,
    "quit": leave_app,
    "help": say_help,
}

NEED_A_NAME = frozenset({"join", "server", "channel", "category", "name", "dm", "friend", "block"})


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
