"""Who may see what, said once more and plainly: what the system shows is held against this. They share no code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Rules = frozenset[str]
VIEW, MANAGE_CHANNELS, ADMINISTRATOR = "view_channel", "manage_channels", "administrator"


@dataclass
class Channel:
    category: str | None
    allow: dict[str, Rules]
    deny: dict[str, Rules]


@dataclass
class Server:
    owner: int
    everyone: str
    roles: dict[str, Rules] = field(default_factory=dict)
    members: dict[int, set[str]] = field(default_factory=dict)
    banned: set[int] = field(default_factory=set)
    channels: dict[str, Channel] = field(default_factory=dict)
    categories: set[str] = field(default_factory=set)

    def rules(self, user: int) -> Rules:
        """What a member may do in the server as a whole."""
        held = {self.everyone, *self.members[user]}
        return frozenset().union(*(self.roles[role] for role in held))

    def has_everything(self, user: int) -> bool:
        return user == self.owner or ADMINISTRATOR in self.rules(user)

    def sees(self, user: int, channel_id: str) -> bool:
        """Everyone's overwrite first, deny before allow; then those of all other roles, denies before allows."""
        if user not in self.members:
            return False
        if self.has_everything(user):
            return True
        channel = self.channels[channel_id]
        seen = VIEW in self.rules(user)
        for layer in ({self.everyone}, self.members[user]):
            if any(VIEW in channel.deny.get(role, ()) for role in layer):
                seen = False
            if any(VIEW in channel.allow.get(role, ()) for role in layer):
                seen = True
        return seen

    def channels_of(self, user: int) -> set[str]:
        return {channel for channel in self.channels if self.sees(user, channel)}

    def categories_of(self, user: int) -> set[str]:
        """Those that hold a channel one sees; who may manage channels sees the others too."""
        if user not in self.members:
            return set()
        if self.has_everything(user) or MANAGE_CHANNELS in self.rules(user):
            return set(self.categories)
        return {place for each in self.channels_of(user) if (place := self.channels[each].category) is not None}

    def places_of(self, user: int) -> Iterator[str]:
        """All that a user sees of it, by ids: the server itself, channels and categories."""
        if user in self.members:
            yield self.everyone
            yield from self.channels_of(user)
            yield from self.categories_of(user)

    # What changes it.

    def delete_role(self, role: str) -> None:
        del self.roles[role]
        for held in self.members.values():
            held.discard(role)
        for channel in self.channels.values():
            channel.allow.pop(role, None)
            channel.deny.pop(role, None)

    def delete_category(self, category: str) -> None:
        self.categories.discard(category)
        for channel in self.channels.values():
            if channel.category == category:
                channel.category = None
