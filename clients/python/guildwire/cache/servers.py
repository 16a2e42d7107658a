"""The servers one is in, each with what was loaded of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guildwire.cache.entities import Entity

SERVER, CHANNELS, ROLES, MEMBERS = "server", "channels", "roles", "members"
"""The parts of a server's scope."""

COUNTERS = frozenset({"num_members", "last_message_id"})
"""Fields as of some reply, which no event keeps up to date."""


def server_scope(server_id: str) -> str:
    return f"server:{server_id}"


def channel_scope(channel_id: str) -> str:
    return f"channel:{channel_id}"


def without(entity: Mapping[str, Any], *names: str) -> Entity:
    return {name: value for name, value in entity.items() if name not in names}


@dataclass
class CachedServer:
    """What is known of one server; the parts say what of it is loaded. A listing alone knows its name and image."""

    entity: Entity
    channels: dict[str, Entity] = field(default_factory=dict)
    categories: dict[str, Entity] = field(default_factory=dict)
    roles: dict[str, Entity] = field(default_factory=dict)
    members: dict[str, Entity] = field(default_factory=dict)
    all_members: bool = False
    order: dict[str, float] = field(default_factory=dict)

    # Channels and categories.

    def replace_channels(self, categories: Iterable[Mapping[str, Any]], rev: int, *, keep: bool) -> list[str]:
        """The whole listing, as of `rev`; returns the channels that are in it no more.

        `keep`: what is known of the channels beside what a listing tells is current.
        """
        before, self.channels, self.categories, self.order = self.channels, {}, {}, {}
        for category in categories:
            if category["id"] is not None:
                known = {"id": category["id"], "name": category["name"], "position": category["position"], "rev": rev}
                self.categories[category["id"]] = known
            for listed in category["channels"]:
                mine = before.get(listed["id"], {}) if keep else {}
                place = {"category_id": category["id"], "server_id": self.entity["id"], "rev": rev}
                self.channels[listed["id"]] = {**mine, **place, **listed}
                self.order[listed["id"]] = len(self.order)
        return [channel_id for channel_id in before if channel_id not in self.channels]

    def put_channel(self, channel: Mapping[str, Any]) -> None:
        """A channel that is new or changed; a new one stands last, until its position says otherwise."""
        mine = self.channels.get(channel["id"], {})
        self.channels[channel["id"]] = {"server_id": self.entity["id"], **mine, **without(channel, "full")}
        self.order.setdefault(channel["id"], max(self.order.values(), default=-1) + 1)

    def knows_place(self, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
        """Whether the order is still known after a channel became another: a listing tells no positions."""
        if before is None or "position" not in after:
            return True
        moved = any(before.get(name) != after.get(name) for name in ("position", "category_id"))
        return not moved or self._has_positions(after.get("category_id"))

    def drop_channel(self, channel_id: str) -> bool:
        self.order.pop(channel_id, None)
        return self.channels.pop(channel_id, None) is not None

    def drop_category(self, category_id: str) -> bool:
        """Its channels then stand without one."""
        for channel_id, channel in self.channels.items():
            if channel.get("category_id") == category_id:
                self.channels[channel_id] = {**channel, "category_id": None}
        return self.categories.pop(category_id, None) is not None

    def in_order(self) -> list[Entity]:
        """The channels as they are shown: those without a category first, then by category."""
        ordered: list[Entity] = []
        for category_id in (None, *sorted(self.categories, key=self._category_rank)):
            inside = [channel for channel in self.channels.values() if channel.get("category_id") == category_id]
            if self._has_positions(category_id):
                ordered += sorted(inside, key=lambda channel: (channel["position"], channel["id"]))
            else:
                ordered += sorted(inside, key=lambda channel: self.order.get(channel["id"], 0))
        return ordered

    def _has_positions(self, category_id: str | None) -> bool:
        inside = (channel for channel in self.channels.values() if channel.get("category_id") == category_id)
        return all("position" in channel for channel in inside)

    def _category_rank(self, category_id: str) -> tuple[float, str]:
        return self.categories[category_id]["position"], category_id

    # Roles and members.

    def drop_role(self, role_id: str) -> bool:
        """Strips it from members and channels as well."""
        for user_id, member in self.members.items():
            if role_id in member["roles"]:
                self.members[user_id] = {**member, "roles": _less(member["roles"], role_id)}
        if (me := self.entity.get("me")) is not None and role_id in me["roles"]:
            self.entity = {**self.entity, "me": {**me, "roles": _less(me["roles"], role_id)}}
        for channel_id, channel in self.channels.items():
            if "roles" in channel:
                overwrites = [each for each in channel["roles"] if each["role_id"] != role_id]
                access = _less(channel.get("roles_with_access", []), role_id)
                self.channels[channel_id] = {**channel, "roles": overwrites, "roles_with_access": access}
        return self.roles.pop(role_id, None) is not None

    def put_member(self, member: Mapping[str, Any]) -> str:
        """A member without the user inside, who is kept among the users; returns the user's id."""
        user_id: str = member["user"]["id"]
        self.members[user_id] = {"user_id": user_id, **without(member, "user")}
        return user_id


def _less(values: Iterable[str], unwanted: str) -> list[str]:
    return [value for value in values if value != unwanted]
