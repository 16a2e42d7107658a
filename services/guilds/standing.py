"""A member's standing in a server: the documents a handler needs to check what it may do, read in one snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from shared.errors import Forbidden, NotFound
from shared.permissions import VIEW_CHANNEL, Rank, ServerRights, channel_rules, lacking, rank, server_rules
from shared.rights import channel_overwrites, member_rights, server_rights
from shared.store import Document, Filter

MAX_ROLES = 250


class Reader(Protocol):
    """A snapshot, or a change that reads."""

    async def find_one(self, collection: str, filter_: Filter, **options: Any) -> Document | None: ...

    async def find(self, collection: str, filter_: Filter, limit: int, **options: Any) -> list[Document]: ...

    async def aggregate(self, collection: str, stages: list[Document], limit: int) -> list[Document]: ...


@dataclass(frozen=True)
class Standing:
    server: Document
    member: Document
    roles: list[Document]

    @cached_property
    def rights(self) -> ServerRights:
        return server_rights(self.server, self.roles)

    @cached_property
    def rules(self) -> frozenset[str]:
        return server_rules(self.rights, member_rights(self.member))

    @property
    def is_owner(self) -> bool:
        return bool(self.server["owner_id"] == self.member["user_id"])

    def needs(self, rule: str) -> None:
        """Raises Forbidden, naming the rule, when the member lacks it."""
        needs(self.rules, rule)

    # Roles and ranks.

    @property
    def role_ids(self) -> frozenset[str]:
        """Every role of the member, `everyone` among them."""
        return frozenset({self.server["everyone_id"], *self.held_by(self.member)})

    def role(self, role_id: str) -> Document | None:
        return next((role for role in self.roles if role["_id"] == role_id), None)

    def held_by(self, member: Document) -> list[str]:
        """The roles of a member. One that is deleted may still stand in the document for a while."""
        return [role_id for role_id in member["roles"] if role_id in self.rights.roles]

    def must_outrank_role(self, role_id: str, position: float) -> None:
        """Raises Forbidden unless a role at this position stands below the member's highest."""
        if (position, role_id) >= self._rank(self.member):
            raise Forbidden("Only roles below one's own highest can be changed, given or taken.")

    def must_outrank(self, other: Document) -> None:
        """Raises Forbidden unless the other member's highest role stands below this one's."""
        if self._rank(other) >= self._rank(self.member):
            raise Forbidden("Only members who rank below oneself can be changed or removed.")

    def _rank(self, member: Document) -> Rank:
        positions = {role["_id"]: role["position"] for role in self.roles}
        return rank(self.rights, member_rights(member), positions)


async def standing(reader: Reader, server_id: str, user_id: str, kind: str = "server") -> Standing:
    """Raises NotFound for who is no member, naming `kind`: to that user it is as if there were no such server."""
    server = await reader.find_one("servers", {"_id": server_id})
    member = await reader.find_one("members", {"server_id": server_id, "user_id": user_id})
    if server is None or member is None:
        raise NotFound(kind)
    return Standing(server, member, await reader.find("roles", {"server_id": server_id}, MAX_ROLES))


def rules_in(here: Standing, channel: Document) -> frozenset[str]:
    """The member's rules in a channel; raises NotFound where they don't see it."""
    rules = channel_rules(here.rights, member_rights(here.member), channel_overwrites(channel))
    if VIEW_CHANNEL not in rules:
        raise NotFound("channel")
    return rules


def needs(rules: frozenset[str], rule: str) -> None:
    """Raises Forbidden, naming the rule, when it is not among these."""
    if rule not in rules:
        raise Forbidden.lacking(rule)


def may_grant(own: frozenset[str], rules: Iterable[str]) -> None:
    """Raises Forbidden, naming a rule, when one of them is not one's own: nobody grants what they lack."""
    if missing := lacking(own, rules):
        raise Forbidden.lacking(missing[0])
