"""A change of a server by which members may come to see channels: its roles' rules, or the overwrites of channels.

It holds all that decided about sight just before the change and just after it, and where the channels ended then. So
who came to see what can be told later, in any order and any number of times, whatever else has changed since. Only the
roles of a member must still be those of then: whoever changes them settles first what is pending
(`shared/reading_starts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from shared.permissions import (
    ADMINISTRATOR,
    NOTHING,
    VIEW_CHANNEL,
    MemberRights,
    Overwrite,
    Overwrites,
    ServerRights,
    rules_within,
    server_rules,
)
from shared.store import Document

_SIGHT = frozenset({VIEW_CHANNEL, ADMINISTRATOR})
_ALLOWED, _NEUTRAL, _DENIED = 1, 0, -1
_ALLOWS, _DENIES = Overwrite(allow=frozenset({VIEW_CHANNEL})), Overwrite(deny=frozenset({VIEW_CHANNEL}))


@dataclass(frozen=True, slots=True)
class Widened:
    """The overwrites of one channel, before and after."""

    before: Overwrites
    after: Overwrites

    def was_open_to_all(self, before: ServerRights) -> bool:
        if any(_level(self.before, role) == _DENIED for role in self.before):
            return False
        return _level(self.before, before.everyone_id) == _ALLOWED or bool(_SIGHT & _rules(before, before.everyone_id))

    def raised(self) -> frozenset[str]:
        """The roles of which the channel says more than it did."""
        if self.before == self.after:
            return NOTHING
        roles = self.before.keys() | self.after.keys()
        return frozenset(role for role in roles if _level(self.after, role) > _level(self.before, role))


@dataclass(frozen=True, slots=True)
class Widening:
    before: ServerRights
    after: ServerRights
    """As of the change: its `perm_rev` is the revision of that."""
    channels: Mapping[str, Widened]
    """Only those that had messages, and that somebody may have come to see."""
    last_ids: Mapping[str, int]
    for_whom: frozenset[str]
    """Whoever came to see something has one of these roles, `everyone` among them."""

    @property
    def server_id(self) -> str:
        return self.after.server_id

    @property
    def rev(self) -> int:
        return self.after.perm_rev

    @property
    def is_for_all(self) -> bool:
        return self.after.everyone_id in self.for_whom

    def seen_anew(self, member: MemberRights) -> dict[str, int]:
        """The channels that this member came to see, with their last messages of then."""
        before, after = server_rules(self.before, member), server_rules(self.after, member)
        return {
            channel_id: self.last_ids[channel_id]
            for channel_id, channel in self.channels.items()
            if VIEW_CHANNEL in rules_within(self.after, member, after, channel.after)
            and VIEW_CHANNEL not in rules_within(self.before, member, before, channel.before)
        }

    def document(self) -> Document:
        """As it is kept: of rules and overwrites only what decides about sight."""
        return {
            "server_id": self.server_id,
            "rev": self.rev,
            "owner_id": self.after.owner_id,
            "everyone_id": self.after.everyone_id,
            "for_whom": sorted(self.for_whom),
            "roles": [_kept_rules(self.before), _kept_rules(self.after)],
            "channels": {
                channel_id: {
                    "last_id": self.last_ids[channel_id],
                    "overwrites": [_kept_levels(each) for each in _different(channel.before, channel.after)],
                }
                for channel_id, channel in self.channels.items()
            },
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        before, after = (
            ServerRights(
                server_id=kept["server_id"],
                owner_id=kept["owner_id"],
                everyone_id=kept["everyone_id"],
                perm_rev=kept["rev"],
                roles={role_id: frozenset(held) for role_id, held in rules.items()},
            )
            for rules in kept["roles"]
        )
        channels, last_ids = {}, {}
        for channel_id, channel in kept["channels"].items():
            overwrites = [_overwrites(each) for each in channel["overwrites"]]
            channels[channel_id] = Widened(overwrites[0], overwrites[-1])
            last_ids[channel_id] = channel["last_id"]
        return cls(before, after, channels, last_ids, frozenset(kept["for_whom"]))


def widened(before: ServerRights, after: ServerRights, channels: Mapping[str, Widened]) -> dict[str, frozenset[str]]:
    """Those of the channels that somebody may come to see by such a change, with the roles of which one must have one.

    Sight never gets less by a rule or an overwrite that is raised, so it begins for nobody of whom none was.
    """
    viewers, administrators = _raised(before, after, VIEW_CHANNEL), _raised(before, after, ADMINISTRATOR)
    if VIEW_CHANNEL in _rules(before, before.everyone_id):
        viewers = NOTHING  # all have it anyway
    found = {}
    for channel_id, channel in channels.items():
        if not channel.was_open_to_all(before):
            by_rules = viewers if _level(channel.after, before.everyone_id) == _NEUTRAL else NOTHING
            found[channel_id] = by_rules | administrators | channel.raised()
    return {channel_id: roles for channel_id, roles in found.items() if roles}


def with_rules(rights: ServerRights, role_id: str, rules: Iterable[str] | None, rev: int) -> ServerRights:
    """The server as it is from this revision on, where a role has other rules, or is gone."""
    roles = {each: held for each, held in rights.roles.items() if each != role_id}
    if rules is not None:
        roles[role_id] = frozenset(rules)
    return replace(rights, roles=roles, perm_rev=rev)


def _raised(before: ServerRights, after: ServerRights, rule: str) -> frozenset[str]:
    """The roles that have the rule from now on."""
    return frozenset(role for role in after.roles if rule in after.roles[role] and rule not in _rules(before, role))


def _rules(rights: ServerRights, role_id: str) -> frozenset[str]:
    return rights.roles.get(role_id, NOTHING)


def _level(overwrites: Overwrites, role_id: str) -> int:
    """What a channel says about the sight of a role: where it allows and denies, it allows."""
    overwrite = overwrites.get(role_id)
    if overwrite is None:
        return _NEUTRAL
    if VIEW_CHANNEL in overwrite.allow:
        return _ALLOWED
    return _DENIED if VIEW_CHANNEL in overwrite.deny else _NEUTRAL


def _kept_rules(rights: ServerRights) -> dict[str, list[str]]:
    return {role_id: sorted(_SIGHT & rules) for role_id, rules in rights.roles.items() if _SIGHT & rules}


def _different(before: Overwrites, after: Overwrites) -> list[Overwrites]:
    """Mostly it is the rules that change: then the overwrites, which can be thousands, are kept once."""
    return [before] if before == after else [before, after]


def _kept_levels(overwrites: Overwrites) -> dict[str, int]:
    return {role_id: level for role_id in overwrites if (level := _level(overwrites, role_id)) != _NEUTRAL}


def _overwrites(levels: Mapping[str, int]) -> Overwrites:
    return {role_id: _ALLOWS if level == _ALLOWED else _DENIES for role_id, level in levels.items()}
