"""What of a server's structure a client keeps beside its channels: roles and categories, by the protocol's rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.client import Event

Entity = dict[str, Any]


def change(mine: Entity, event: Event) -> str:
    """Applies `changes` to what they are of; what is wrong about it, or nothing.

    The rev of an entity from a reply may be its scope's, later than its own last change: mine is what the change is
    based on from `was` up to, but not including, the event's rev.
    """
    if mine["rev"] >= event.rev:
        return ""
    if mine["rev"] < event.params["was"]:
        return f"{event.method} at {event.rev}: mine is of {mine['rev']}, changed from {event.params['was']}"
    mine.update({name: value for name, value in event.params["changes"].items() if name in mine})
    mine["rev"] = event.rev
    return ""


@dataclass
class Structure:
    """Of one server. Of categories only what a list tells of them is compared: it knows no revs."""

    roles: dict[str, Entity] = field(default_factory=dict)
    categories: dict[str, Entity] = field(default_factory=dict)
    roles_known: bool = False

    def names(self) -> dict[str, str]:
        """Of the categories."""
        return {each["id"]: each["name"] for each in self.categories.values()}

    def apply(self, event: Event) -> str:
        """One event of the server about a role or category; what is wrong about it, or nothing."""
        params = event.params
        match event.method:
            case "role_added":
                return self._add(self.roles, params["role"], event)
            case "category_added":
                return self._add(self.categories, params["category"], event)
            case "role_changed" if params["role_id"] in self.roles:
                return change(self.roles[params["role_id"]], event)
            case "category_updated" if params["category_id"] in self.categories:
                return change(self.categories[params["category_id"]], event)
            case "role_deleted":
                self.roles.pop(params["role_id"], None)
            case "category_deleted":
                self.categories.pop(params["category_id"], None)
            case "category_updated":
                return f"{event.method} of {params['category_id']}, which I don't see"
        return ""

    def list_roles(self, roles: Iterable[Entity]) -> None:
        self.roles_known = True
        self.roles = {role["id"]: dict(role) for role in roles}

    def list_categories(self, categories: Iterable[Entity], rev: int) -> None:
        self.categories = {
            each["id"]: {"id": each["id"], "name": each["name"], "position": each["position"], "rev": rev}
            for each in categories
            if each["id"] is not None
        }

    def _add(self, held: dict[str, Entity], entity: Entity, event: Event) -> str:
        mine = held.get(entity["id"])
        if mine is None or entity["rev"] >= mine["rev"]:
            held[entity["id"]] = {**entity, "rev": max(entity["rev"], event.rev)} if held is self.categories else entity
        return ""
