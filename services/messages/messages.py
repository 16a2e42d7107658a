"""Writing, editing and deleting messages.

A deleted message leaves a tombstone without its content: its id is never used again, and who asks what changed can
be told that it is gone. `live` marks the others.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from services.messages.mentions import mentions_in
from services.messages.views import message_view
from shared.errors import Forbidden, NotFound
from shared.journal import Append, Head, Written
from shared.permissions import MANAGE_MESSAGES, SEND_MESSAGES
from shared.protocol.contract import Empty
from shared.protocol.fields import rfc3339
from shared.protocol.message import (
    ADD_MESSAGE,
    DELETE_MESSAGE,
    UPDATE_MESSAGE,
    AddMessage,
    DeleteMessage,
    Message,
    MessageAdded,
    MessageChanged,
    MessageDeleted,
    UpdateMessage,
)
from shared.rights import Sight
from shared.service import Call, Parts, handles
from shared.store import Document, Insert, Update, translated

R = TypeVar("R", bound=BaseModel)


class Messages:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._rights = parts.rights

    @handles(ADD_MESSAGE)
    async def add_message(self, call: Call, params: AddMessage) -> Message:
        sight = await self._rights.sight(params.channel_id, call.user_id, fresh=call.attempt > 0)
        sight.needs(SEND_MESSAGES)
        if params.reply_to is not None and "live" not in await self._find(params.channel_id, params.reply_to):
            raise NotFound("message")
        mentions = await mentions_in(self._store, params.content, sight)
        now = _now()

        def write(head: Head) -> Written[Message]:
            message: Document = {
                "channel_id": params.channel_id,
                "id": head.last_id + 1,
                "author_id": call.user_id,
                "content": params.content,
                "created_date": now,
                "edited_date": None,
                "reply_to": params.reply_to,
                "mentions": mentions.users,
                "mentions_everyone": mentions.everyone,
                "rev": head.rev + 1,
                "live": True,
            }
            added = message_view(message)
            own = {"user_id": call.user_id, "params": {"message": {"nonce": params.nonce}}} if params.nonce else None
            return Written(MessageAdded(message=added), [Insert("messages", message)], added, message["id"], own)

        return await self._append(call, sight, write)

    @handles(UPDATE_MESSAGE)
    async def update_message(self, call: Call, params: UpdateMessage) -> Message:
        sight = await self._rights.sight(params.channel_id, call.user_id, fresh=call.attempt > 0)
        before = await self._find(params.channel_id, params.message_id)
        if "live" not in before:
            raise NotFound("message")
        if before["author_id"] != call.user_id:
            raise Forbidden("Only its author may edit a message.")
        mentions = await mentions_in(self._store, params.content, sight)
        after = {"content": params.content, "mentions": mentions.users, "mentions_everyone": mentions.everyone}
        changed: dict[str, Any] = {name: value for name, value in after.items() if before[name] != value}
        if not changed:
            return message_view(before)
        changed["edited_date"] = _now()

        def write(head: Head) -> Written[Message]:
            event = MessageChanged(
                message_id=params.message_id,
                changes={**changed, "edited_date": rfc3339(changed["edited_date"])},
                was=before["rev"],
            )
            update = Update("messages", _unchanged(before), {"$set": {**changed, "rev": head.rev + 1}})
            return Written(event, [update], message_view({**before, **changed, "rev": head.rev + 1}), head.last_id)

        return await self._append(call, sight, write)

    @handles(DELETE_MESSAGE)
    async def delete_message(self, call: Call, params: DeleteMessage) -> Empty:
        sight = await self._rights.sight(params.channel_id, call.user_id, fresh=call.attempt > 0)
        before = await self._find(params.channel_id, params.message_id)
        if "live" not in before:
            return Empty()
        if before["author_id"] != call.user_id:
            sight.needs(MANAGE_MESSAGES)

        def write(head: Head) -> Written[Empty]:
            buried = {"$set": {"rev": head.rev + 1}, "$unset": {"live": 1, "content": 1, "mentions": 1}}
            update = Update("messages", _unchanged(before), buried)
            return Written(MessageDeleted(message_id=params.message_id), [update], Empty(), head.last_id)

        return await self._append(call, sight, write)

    async def _append(self, call: Call, sight: Sight, write: Callable[[Head], Written[R]]) -> R:
        append = Append(sight.scope, write, requires=[sight.still_as_judged], perm_rev=sight.perm_rev)
        return await self._journal.append(call.origin, append)

    async def _find(self, channel_id: str, message_id: int) -> Document:
        """The message's document, a tombstone (without `live`) included; raises NotFound when there never was one."""
        with translated():
            message = await self._store["messages"].find_one({"channel_id": channel_id, "id": message_id})
        if message is None:
            raise NotFound("message")
        return message


def _unchanged(before: Document) -> Document:
    return {"channel_id": before["channel_id"], "id": before["id"], "rev": before["rev"], "live": True}


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
