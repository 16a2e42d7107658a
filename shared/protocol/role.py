"""Roles of a server: sets of rules that members have. Served by guilds.

Higher positions rank higher, ties by id. `everyone` stands at 0 and is every member's.
"""

from __future__ import annotations

from typing import Any, Literal

from shared.protocol.contract import Changes, Delta, Empty, Entity, Event, Method, Params, unsent
from shared.protocol.fields import Color, Id, Nonce, Position, Rev, Rules, Title


class Role(Entity):
    id: str
    name: str
    color: str
    rules: list[str]
    position: float
    rev: int


class Roles(Entity):
    """In the order of position and id."""

    rev: int
    full: Literal[True] = True
    roles: list[Role]


class RolesDelta(Delta[Role, str]):
    """Roles that came or changed, and those that are gone."""


class GetServerRoles(Params):
    server_id: Id
    user_id: Id | None = None
    since: Rev | None = None


class AddRole(Params):
    server_id: Id
    name: Title
    color: Color
    rules: Rules
    nonce: Nonce | None = None


class RoleChanges(Changes):
    name: Title = unsent()
    color: Color = unsent()
    rules: Rules = unsent()
    position: Position = unsent()


class UpdateRole(Params):
    server_id: Id
    role_id: Id
    changes: RoleChanges
    if_rev: Rev | None = None


class DeleteRole(Params):
    server_id: Id
    role_id: Id


class RoleAdded(Event):
    role: Role


class RoleChanged(Event):
    role_id: str
    changes: dict[str, Any]
    was: int


class RoleDeleted(Event):
    """Whoever holds it, member or channel, has lost it with this."""

    role_id: str


GET_SERVER_ROLES: Method[GetServerRoles, Roles | RolesDelta] = Method(
    "get_server_roles", "guilds", GetServerRoles, Roles, delta=RolesDelta, reads="server:{server_id}"
)
ADD_ROLE = Method("add_role", "guilds", AddRole, Role)
UPDATE_ROLE = Method("update_role", "guilds", UpdateRole, Role)
DELETE_ROLE = Method("delete_role", "guilds", DeleteRole, Empty)
