"""Who is in the server or the direct channel, and who is there."""

from __future__ import annotations

from collections.abc import Iterable

from guildwire import Cache
from guildwire.cache.entities import Entity
from guildwire.cache.servers import CachedServer
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


def dot(user: Entity, *, live: bool) -> Content:
    """Not `live`: who is there may have changed since, so it is not said."""
    return Content.styled(*(DOTS.get(user.get("status", ""), ("○", "dim")) if live else ("·", "dim")))


def highest_role(server: CachedServer, member: Entity) -> Entity | None:
    """The one that a member stands under; None for those who have nothing but `everyone`."""
    held = [server.roles[role_id] for role_id in member["roles"] if role_id in server.roles]
    return max(held, key=lambda role: (role["position"], role["id"]), default=None)


class Members(Static):
    def show(self, cache: Cache, server_id: str, others: Iterable[str] = (), *, live: bool) -> None:
        """A server's members under their highest roles, the highest first; or those of a direct channel."""
        server = cache.servers.get(server_id)
        groups = _by_role(server) if server is not None else [("Members", list(others))]
        lines: list[Content] = []
        for name, user_ids in groups:
            if user_ids:
                lines.append(Content.styled(f"{safe(name)} — {len(user_ids)}", "bold dim"))
                lines += _lines(cache, server_id, user_ids, live=live)
        self.update(Content("\n").join(lines[:MOST_SHOWN]))


def _by_role(server: CachedServer) -> list[tuple[str, list[str]]]:
    """Names of roles, each with those who stand under it; those without a role last."""
    under: dict[str, list[str]] = {}
    for user_id, member in server.members.items():
        role = highest_role(server, member)
        under.setdefault(role["id"] if role else "", []).append(user_id)
    ranks = sorted(server.roles.values(), key=lambda role: (role["position"], role["id"]), reverse=True)
    return [*((role["name"], under.get(role["id"], [])) for role in ranks), ("Members", under.get("", []))]


def _lines(cache: Cache, server_id: str, user_ids: list[str], *, live: bool) -> list[Content]:
    """Who is there first, then by name."""
    people = [(shown_name(cache, server_id, user_id), cache.users.get(user_id) or {}) for user_id in user_ids]
    people.sort(key=lambda each: (each[1].get("status") in {None, "offline"}, each[0].lower()))
    return [_line(name, user, live=live) for name, user in people]


def _line(name: str, user: Entity, *, live: bool) -> Content:
    text = user.get("status_text")
    return Content.assemble(dot(user, live=live), " ", name, (f" — {safe(text)}" if text else "", "dim"))
