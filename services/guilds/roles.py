"""Roles of a server: making, changing, ranking and deleting them.

One may touch only roles below one's own highest, and put nothing into them that one lacks.
"""

from __future__ import annotations

from services.guilds import views
from services.guilds.edits import differing, must_be_current, once_each, rights_change
from services.guilds.reading import role_goes, role_widens
from services.guilds.standing import MAX_ROLES, Standing, may_grant, standing
from shared.cascade import cascade
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.journal.entry import happened
from shared.journal.reader import changes_since, head_within
from shared.permissions import MANAGE_ROLES, lowest_position
from shared.protocol.contract import Empty
from shared.protocol.role import (
    ADD_ROLE,
    DELETE_ROLE,
    GET_SERVER_ROLES,
    UPDATE_ROLE,
    AddRole,
    DeleteRole,
    GetServerRoles,
    Role,
    RoleAdded,
    RoleChanged,
    RoleDeleted,
    RolesDelta,
    UpdateRole,
)
from shared.protocol.role import Roles as RoleList
from shared.scopes import server_scope
from shared.service import Call, Parts, handles
from shared.store import Document


class Roles:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(GET_SERVER_ROLES)
    async def get_server_roles(self, call: Call, params: GetServerRoles) -> RoleList | RolesDelta:
        scope = server_scope(params.server_id)
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            changes = None
            if params.since and params.user_id is None:
                changes = await changes_since(snapshot, scope, params.since, head)
            if changes is not None:
                touched = {params["role"]["id"] for params in happened(changes, "role_added")}
                touched |= {params["role_id"] for params in happened(changes, "role_changed", "role_deleted")}
                updated = views.role_views(role for role in here.roles if role["_id"] in touched)
                gone = sorted(touched - {role.id for role in updated})
                return RolesDelta(rev=head.rev, updated=updated, deleted=gone)
            roles = here.roles
            if params.user_id is not None:
                whose = await standing(snapshot, params.server_id, params.user_id, kind="member")
                roles = [role for role in roles if role["_id"] in whose.role_ids]
        return RoleList(rev=head.rev, roles=views.role_views(roles))

    @handles(ADD_ROLE)
    async def add_role(self, call: Call, params: AddRole) -> Role:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_ROLES)
            may_grant(here.rules, params.rules)
            if len(here.roles) >= MAX_ROLES:
                raise Conflict(f"A server has at most {MAX_ROLES} roles; delete one first.")
            role: Document = {
                "_id": new_id(),
                "server_id": params.server_id,
                "name": params.name,
                "color": params.color,
                "rules": once_each(params.rules),
                "position": lowest_position(role["position"] for role in here.roles),
                "rev": change.rev(scope),
            }
            change.insert("roles", role)
            added = views.role_view(role)
            change.record(scope, RoleAdded(role=added))
            return change.returns(added)

    @handles(UPDATE_ROLE)
    async def update_role(self, call: Call, params: UpdateRole) -> Role:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_ROLES)
            role = here.role(params.role_id)
            if role is None:
                raise NotFound("role")
            here.must_outrank_role(role["_id"], role["position"])
            must_be_current(role, params.if_rev)
            changed = _changed(here, role, params)
            if not changed:
                return views.role_view(role)
            if "position" in changed:
                here.must_outrank_role(role["_id"], changed["position"])
            if "rules" in changed:
                may_grant(here.rules, set(changed["rules"]) - set(role["rules"]))
                rights_change(change, scope)
                await role_widens(change, here.rights, role["_id"], changed["rules"], change.rev(scope))
            after = {**role, **changed, "rev": change.rev(scope)}
            change.update("roles", {"_id": role["_id"]}, {"$set": {**changed, "rev": after["rev"]}})
            change.record(scope, RoleChanged(role_id=role["_id"], changes=changed, was=role["rev"]))
            return views.role_view(after)

    @handles(DELETE_ROLE)
    async def delete_role(self, call: Call, params: DeleteRole) -> Empty:
        """Nobody has it from the commit on; where it still stands in members' documents it is overlooked."""
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_ROLES)
            role = here.role(params.role_id)
            if role is None:
                return Empty()
            if role["_id"] == here.server["everyone_id"]:
                raise Conflict("The role everyone stays.")
            here.must_outrank_role(role["_id"], role["position"])
            change.delete("roles", {"_id": role["_id"]})
            overwritten = {"server_id": params.server_id, "roles.role_id": role["_id"]}
            change.update_all("channels", overwritten, {"$pull": {"roles": {"role_id": role["_id"]}}})
            rights_change(change, scope)
            await role_goes(change, here.rights, role["_id"], change.rev(scope))
            change.record(scope, RoleDeleted(role_id=role["_id"]))
            change.insert("cascades", cascade("guilds", "role", server_id=params.server_id, role_id=role["_id"]))
        return Empty()


def _changed(here: Standing, role: Document, params: UpdateRole) -> Document:
    """What really changes; raises Conflict where `everyone` would get another name or place."""
    wanted = params.changes.wanted()
    if "rules" in wanted:
        wanted["rules"] = once_each(wanted["rules"])
        if set(wanted["rules"]) == set(role["rules"]):
            del wanted["rules"]
    changed = differing(role, wanted)
    if role["_id"] == here.server["everyone_id"] and changed.keys() & {"name", "position"}:
        raise Conflict("The role everyone keeps its name and its place.")
    return changed
