"""A member's standing in a server: the documents a handler needs to check what it may do, read in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.errors import Forbidden, NotFound
from shared.permissions import ServerRights, server_rules
from shared.rights import member_rights, server_rights
from shared.store import Document, Filter

MAX_ROLES = 250


class Reader(Protocol):
    """A snapshot, or a change that reads."""

    async def find_one(self, collection: str, filter_: Filter) -> Document | None: ...

    async def find(self, collection: str, filter_: Filter, limit: int) -> list[Document]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    server: Document
    member: Document
    roles: list[Document]

    @property
    def rights(self) -> ServerRights:
        return server_rights(self.server, self.roles)

    def needs(self, rule: str) -> None:
        """Raises Forbidden, naming the rule, when the member lacks it."""
        if rule not in server_rules(self.rights, member_rights(self.member)):
            raise Forbidden.lacking(rule)


async def standing(reader: Reader, server_id: str, user_id: str, kind: str = "server") -> Standing:
    """Raises NotFound for who is no member, naming `kind`: to that user it is as if there were no such server."""
    server = await reader.find_one("servers", {"_id": server_id})
    member = await reader.find_one("members", {"server_id": server_id, "user_id": user_id})
    if server is None or member is None:
        raise NotFound(kind)
    return Standing(server, member, await reader.find("roles", {"server_id": server_id}, MAX_ROLES))
