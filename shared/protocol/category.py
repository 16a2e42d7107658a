"""Categories: headings under which a server's channels stand. Served by guilds.

One sees a category that holds a channel one sees; who may manage channels sees the empty ones too.
"""

from __future__ import annotations

from typing import Any

from shared.protocol.contract import Audience, Changes, Empty, Entity, Event, Method, Params, unsent
from shared.protocol.fields import Id, Nonce, Position, Rev, Title


class Category(Entity):
    id: str
    name: str
    position: float
    rev: int


class AddCategory(Params):
    server_id: Id
    name: Title
    position: Position | None = None
    nonce: Nonce | None = None


class CategoryChanges(Changes):
    name: Title = unsent()
    position: Position = unsent()


class UpdateCategory(Params):
    server_id: Id
    category_id: Id
    changes: CategoryChanges
    if_rev: Rev | None = None


class DeleteCategory(Params):
    server_id: Id
    category_id: Id


class CategoryAdded(Event):
    audience = Audience.VIEWERS
    category: Category


class CategoryUpdated(Event):
    audience = Audience.VIEWERS
    category_id: str
    changes: dict[str, Any]
    was: int


class CategoryDeleted(Event):
    audience = Audience.VIEWERS
    category_id: str


ADD_CATEGORY = Method("add_category", "guilds", AddCategory, Category)
UPDATE_CATEGORY = Method("update_category", "guilds", UpdateCategory, Category)
DELETE_CATEGORY = Method("delete_category", "guilds", DeleteCategory, Empty)
