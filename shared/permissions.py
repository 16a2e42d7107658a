"""Who may do and see what: one pure decision, for requests and for events alike.

In a channel: base = union of the rules of the member's roles (`everyone` among them); then the `everyone` overwrite,
deny before allow; then the union of the denies, then of the allows, of the member's other roles. Owner and
`administrator` have everything. Unknown is invisible.

Who may change whom is a question of rank: that of a member's highest role, by position and then by id. `administrator`
gives every rule and no rank; the owner alone outranks all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

VIEW_CHANNEL = "view_channel"
SEND_MESSAGES = "send_messages"
ADD_REACTIONS = "add_reactions"
MANAGE_MESSAGES = "manage_messages"
MANAGE_CHANNELS = "manage_channels"
MANAGE_ROLES = "manage_roles"
MENTION_EVERYONE = "mention_everyone"
MANAGE_SERVER = "manage_server"
INVITE_MEMBERS = "invite_members"
KICK_MEMBERS = "kick_members"
BAN_MEMBERS = "ban_members"
ADMINISTRATOR = "administrator"

ALL_RULES = frozenset(
    {
        VIEW_CHANNEL,
        SEND_MESSAGES,
        ADD_REACTIONS,
        MENTION_EVERYONE,
        MANAGE_MESSAGES,
        MANAGE_CHANNELS,
        MANAGE_ROLES,
        MANAGE_SERVER,
        INVITE_MEMBERS,
        KICK_MEMBERS,
        BAN_MEMBERS,
        ADMINISTRATOR,
    }
)
EVERYONE_RULES = (VIEW_CHANNEL, SEND_MESSAGES, ADD_REACTIONS, INVITE_MEMBERS)
"""What the role `everyone` starts with."""

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What a channel allows and denies to one role."""

    allow: frozenset[str] = NOTHING
    deny: frozenset[str] = NOTHING


Overwrites = Mapping[str, Overwrite]
"""By role id."""


@dataclass(frozen=True, slots=True)
class ServerRights:
    """All of a server that decides about rights, as of its `perm_rev`."""

    server_id: str
    owner_id: str
    everyone_id: str
    perm_rev: int
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Role id to rules."""


@dataclass(frozen=True, slots=True)
class MemberRights:
    user_id: str
    roles: frozenset[str]
    """Without `everyone`, which every member has."""


def server_rules(server: ServerRights, member: MemberRights | None) -> frozenset[str]:
    """The rules a member has in the server as a whole; a non-member has none."""
    if member is None:
        return NOTHING
    if member.user_id == server.owner_id:
        return ALL_RULES
    granted: set[str] = set()
    for role_id in (server.everyone_id, *member.roles):
        granted |= server.roles.get(role_id, NOTHING)
    return ALL_RULES if ADMINISTRATOR in granted else frozenset(granted)


def channel_rules(server: ServerRights, member: MemberRights | None, overwrites: Overwrites) -> frozenset[str]:
    """The rules a member has in one channel; without `view_channel` none of the others count."""
    return NOTHING if member is None else rules_within(server, member, server_rules(server, member), overwrites)


def rules_within(
    server: ServerRights, member: MemberRights, base: frozenset[str], overwrites: Overwrites
) -> frozenset[str]:
    """The same for who asks about many channels: `base` are the member's rules in the server, found out once."""
    if ADMINISTRATOR in base:
        return base
    rules = set(base)
    if everyone := overwrites.get(server.everyone_id):
        rules = (rules - everyone.deny) | everyone.allow
    mine = _of_roles(overwrites, member.roles)
    for overwrite in mine:
        rules -= overwrite.deny
    for overwrite in mine:
        rules |= overwrite.allow
    return frozenset(rules) if VIEW_CHANNEL in rules else NOTHING


def _of_roles(overwrites: Overwrites, roles: frozenset[str]) -> list[Overwrite]:
    """Either can be hundreds, with few of the other: it goes through the fewer."""
    if len(overwrites) < len(roles):
        return [overwrite for role_id, overwrite in overwrites.items() if role_id in roles]
    return [overwrites[role_id] for role_id in roles if role_id in overwrites]


def roles_with_access(server: ServerRights, overwrites: Overwrites) -> list[str]:
    """The roles whose holders, having no other, see the channel; in the order of their ids."""

    def sees(role_id: str) -> bool:
        holder = MemberRights("", frozenset({role_id}) - {server.everyone_id})
        return VIEW_CHANNEL in channel_rules(server, holder, overwrites)

    return sorted(filter(sees, server.roles))


Rank = tuple[float, str]
"""Where a role stands: its position, then its id. Only what is strictly lower may be changed."""


def rank(server: ServerRights, member: MemberRights, positions: Mapping[str, float]) -> Rank:
    """How high a member stands, given the positions of the server's roles."""
    if member.user_id == server.owner_id:
        return math.inf, ""
    held = {server.everyone_id, *member.roles}
    return max(((positions[role_id], role_id) for role_id in held if role_id in positions), default=(-math.inf, ""))


def lowest_position(positions: Iterable[float]) -> float:
    """Where a new role begins: between `everyone` at 0 and all that rank above it."""
    above = min((position for position in positions if position > 0), default=2.0)
    return above / 2 or above


def lacking(own: frozenset[str], rules: Iterable[str]) -> list[str]:
    """What of these rules one doesn't have, and so may not give."""
    return sorted(set(rules) - own)


def overwritten(before: Overwrites, after: Overwrites) -> frozenset[str]:
    """The rules that some role is allowed or denied anew, or no longer: who changes that must have them."""
    rules: set[str] = set()
    for role_id in before.keys() | after.keys():
        old, new = before.get(role_id, Overwrite()), after.get(role_id, Overwrite())
        rules |= (old.allow ^ new.allow) | (old.deny ^ new.deny)
    return frozenset(rules)
