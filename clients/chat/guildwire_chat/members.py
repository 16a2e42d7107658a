"""Who is in the server, and who is there."""

from __future__ import annotations

from guildwire import Cache
from guildwire.cache.entities import Entity
from textual.content import Content
from textual.widgets import Static

from guildwire_chat.wording import safe

DOTS = {"online": ("●", "$success"), "idle": ("◐", "$warning"), "dnd": ("●", "$error"), "invisible": ("○", "dim")}
MOST_SHOWN = 200


def shown_name(cache: Cache, server_id: str, user_id: str) -> str:
    """The nick in the server, else the display name."""
    server = cache.servers.get(server_id)
    nick = server.members.get(user_id, {}).get("nick") if server is not None else None
    user = cache.users.get(user_id)
    return safe(nick or (user["display_name"] if user is not None else "someone"))


class Members(Static):
    def show(self, cache: Cache, server_id: str, *, live: bool) -> None:
        """Not `live`: who is there may have changed since, so it is not said."""
        server = cache.servers.get(server_id)
        if server is None or not server.members:
            self.update("")
            return
        people = [(shown_name(cache, server_id, user_id), cache.users.get(user_id) or {}) for user_id in server.members]
        people.sort(key=lambda each: (each[1].get("status") in {None, "offline"}, each[0].lower()))
        lines = [Content.styled(f"Members — {len(people)}", "bold dim")]
        lines += [_line(name, user, live=live) for name, user in people[:MOST_SHOWN]]
        self.update(Content("\n").join(lines))


def _line(name: str, user: Entity, *, live: bool) -> Content:
    dot, style = DOTS.get(user.get("status", ""), ("○", "dim")) if live else ("·", "dim")
    text = user.get("status_text")
    return Content.assemble((dot, style), " ", name, (f" — {safe(text)}" if text else "", "dim"))
