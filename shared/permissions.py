"""Who may do and see what: one pure decision, for requests and for events alike.

In a channel: base = union of the rules of the member's roles (`everyone` among them); then the `everyone` overwrite,
deny before allow; then the union of the denies, then of the allows, of the member's other roles. Owner and
`administrator` have everything. Unknown is invisible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VIEW_CHANNEL = "view_channel"
SEND_MESSAGES = "send_messages"
MANAGE_MESSAGES = "manage_messages"
MANAGE_CHANNELS = "manage_channels"
MANAGE_ROLES = "manage_roles"
MENTION_EVERYONE = "mention_everyone"
INVITE_MEMBERS = "invite_members"
ADMINISTRATOR = "administrator"

ALL_RULES = frozenset(
    {
        VIEW_CHANNEL,
        SEND_MESSAGES,
        "add_reactions",
        MENTION_EVERYONE,
        MANAGE_MESSAGES,
        MANAGE_CHANNELS,
        MANAGE_ROLES,
        "manage_server",
        INVITE_MEMBERS,
        "kick_members",
        "ban_members",
        ADMINISTRATOR,
    }
)
EVERYONE_RULES = (VIEW_CHANNEL, SEND_MESSAGES, "add_reactions", INVITE_MEMBERS)
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
    base = server_rules(server, member)
    if member is None or ADMINISTRATOR in base:
        return base
    rules = set(base)
    if everyone := overwrites.get(server.everyone_id):
        rules = (rules - everyone.deny) | everyone.allow
    mine = [overwrites[role_id] for role_id in member.roles if role_id in overwrites]
    for overwrite in mine:
        rules -= overwrite.deny
    for overwrite in mine:
        rules |= overwrite.allow
    return frozenset(rules) if VIEW_CHANNEL in rules else NOTHING


def roles_with_access(server: ServerRights, overwrites: Overwrites) -> list[str]:
    """The roles whose holders, having no other, see the channel; in the order of their ids."""

    def sees(role_id: str) -> bool:
        holder = MemberRights("", frozenset({role_id}) - {server.everyone_id})
        return VIEW_CHANNEL in channel_rules(server, holder, overwrites)

    return sorted(filter(sees, server.roles))
