"""Direct channels: talking to people without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guildwire import Cache

from guildwire_chat.dialogs import Confirm
from guildwire_chat.members import shown_name

if TYPE_CHECKING:
    from guildwire_chat.chat import Chat


def others_in(cache: Cache, channel_id: str) -> list[str]:
    """The names of all who are in it beside oneself."""
    user_ids = cache.direct_channels[channel_id]["user_ids"]
    names = [shown_name(cache, "", user_id) for user_id in user_ids if user_id != cache.user_id]
    return sorted(names, key=str.lower) or ["nobody else"]


def user_named(cache: Cache, name: str) -> str | None:
    """The id of someone met before, by the name of the account."""
    wanted = name.removeprefix("@").lower()
    return next((user_id for user_id, user in cache.users.all().items() if user["name"] == wanted), None)


async def write_to(chat: Chat, text: str) -> None:
    """Opens the channel with these people, by their accounts' names."""
    cache = chat.chat.client.cache
    found = {name: user_named(cache, name) for name in text.replace(",", " ").split()}
    unknown = [name for name, user_id in found.items() if user_id is None]
    if unknown:
        chat.notify(
            f"You have met nobody called {', '.join(unknown)} in a server or among your friends.",
            severity="warning",
            markup=False,
        )
        return
    await open_with(chat, [user_id for user_id in found.values() if user_id is not None])


async def open_with(chat: Chat, user_ids: list[str]) -> None:
    client = chat.chat.client
    await client.load_direct_channels()
    channel = await client.add_direct_channel(user_ids)
    if channel["id"] in client.cache.direct_channels:
        chat.open_channel(channel["id"])


async def leave(chat: Chat, channel_id: str) -> None:
    """One of two comes back with its next message; into one of more the same people have to be called again."""
    names = ", ".join(others_in(chat.chat.client.cache, channel_id))
    if await chat.app.push_screen_wait(Confirm(f"Leave the direct channel with {names}?")):
        await chat.chat.client.leave_direct_channel(channel_id)
