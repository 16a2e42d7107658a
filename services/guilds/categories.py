"""Categories of a server: the headings its channels stand under."""

from __future__ import annotations

from services.guilds import views
from services.guilds.edits import differing, must_be_current
from services.guilds.standing import Reader, standing
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.permissions import MANAGE_CHANNELS
from shared.protocol.category import (
    ADD_CATEGORY,
    DELETE_CATEGORY,
    UPDATE_CATEGORY,
    AddCategory,
    Category,
    CategoryAdded,
    CategoryDeleted,
    CategoryUpdated,
    DeleteCategory,
    UpdateCategory,
)
from shared.protocol.channel import ChannelUpdated
from shared.protocol.contract import Empty
from shared.scopes import server_scope
from shared.service import Call, Parts, handles
from shared.store import Document

MAX_CATEGORIES = 50
MAX_CHANNELS = 500


class Categories:
    def __init__(self, parts: Parts) -> None:
        self._journal = parts.journal

    @handles(ADD_CATEGORY)
    async def add_category(self, call: Call, params: AddCategory) -> Category:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_CHANNELS)
            others = await change.find("categories", {"server_id": params.server_id}, MAX_CATEGORIES)
            if len(others) >= MAX_CATEGORIES:
                raise Conflict(f"A server has at most {MAX_CATEGORIES} categories; delete one first.")
            position = params.position
            category: Document = {
                "_id": new_id(),
                "server_id": params.server_id,
                "name": params.name,
                "position": next_position(others) if position is None else position,
                "rev": change.rev(scope),
            }
            change.insert("categories", category)
            added = views.category_view(category)
            change.record(scope, CategoryAdded(category=added))
            return change.returns(added)

    @handles(UPDATE_CATEGORY)
    async def update_category(self, call: Call, params: UpdateCategory) -> Category:
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_CHANNELS)
            category = await find_category(change, params.server_id, params.category_id)
            must_be_current(category, params.if_rev)
            changed = differing(category, params.changes.wanted())
            if not changed:
                return views.category_view(category)
            after = {**category, **changed, "rev": change.rev(scope)}
            change.update("categories", {"_id": category["_id"]}, {"$set": {**changed, "rev": after["rev"]}})
            change.record(scope, CategoryUpdated(category_id=category["_id"], changes=changed, was=category["rev"]))
            return views.category_view(after)

    @handles(DELETE_CATEGORY)
    async def delete_category(self, call: Call, params: DeleteCategory) -> Empty:
        """Its channels stay, without a category."""
        scope = server_scope(params.server_id)
        async with self._journal.change(call.origin, scope) as change:
            here = await standing(change, params.server_id, call.user_id)
            here.needs(MANAGE_CHANNELS)
            key = {"_id": params.category_id, "server_id": params.server_id}
            if await change.find_one("categories", key) is None:
                return Empty()
            under = {"server_id": params.server_id, "category_id": params.category_id}
            channels = await change.find("channels", under, MAX_CHANNELS)
            change.delete("categories", key)
            change.update_all("channels", under, {"$set": {"category_id": None, "rev": change.rev(scope)}})
            moved = (
                ChannelUpdated(channel_id=channel["_id"], changes={"category_id": None}, was=channel["rev"]).judged_by(
                    category_id=params.category_id
                )
                for channel in sorted(channels, key=lambda channel: (channel["position"], channel["_id"]))
            )
            change.record(scope, *moved, CategoryDeleted(category_id=params.category_id))
        return Empty()


async def find_category(reader: Reader, server_id: str, category_id: str) -> Document:
    category = await reader.find_one("categories", {"_id": category_id, "server_id": server_id})
    if category is None:
        raise NotFound("category")
    return category


def next_position(others: list[Document]) -> float:
    """After all others."""
    return max((float(other["position"]) for other in others), default=-1) + 1
