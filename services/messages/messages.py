"""Writing, editing and deleting messages.

A deleted message leaves a tombstone without its content: its id is never used again, and who asks what changed can
be told that it is gone. `live` marks the others. `names` has whom a message names, where it names anybody: so that
counting somebody's mentions finds these messages alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from services.messages.direct_sight import DirectSight
from services.messages.mentions import Mentions, mentions_in
from services.messages.opening import Opening
from services.messages.reactions import own_reactions, spent_reactions
from services.messages.reads import has_read
from services.messages.views import message_view
from services.messages.writing import Writing, live, message_lookup, unchanged
from shared.errors import Forbidden, LostRace
from shared.journal import Head, Written
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
from shared.store import Document
from shared.writes import Insert, Update, Write


class Messages:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._writing = Writing(parts)
        self._opening = Opening(parts)

    @handles(ADD_MESSAGE)
    async def add_message(self, call: Call, params: AddMessage) -> Message:
        sight = await self._writing.sight(call, params.channel_id)
        sight.needs(SEND_MESSAGES)
        if params.reply_to is not None:
            await self._writing.find_live(params.channel_id, params.reply_to)
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
                "reactions": [],
                "mentions": mentions.users,
                "mentions_everyone": mentions.everyone,
                **({"names": mentions.names} if mentions.names else {}),
                "rev": head.rev + 1,
                "live": True,
            }
            added = message_view(message)
            own = {"user_id": call.user_id, "params": {"message": {"nonce": params.nonce}}} if params.nonce else None
            writes: list[Write] = [
                Insert("messages", message),
                has_read(call.user_id, params.channel_id, message["id"]),
            ]
            return Written(MessageAdded(message=added), writes, added, message["id"], own)

        return await self._add(call, sight, write)

    async def _add(self, call: Call, sight: Sight, write: Callable[[Head], Written[Message]]) -> Message:
        if isinstance(sight, DirectSight) and sight.unaware:
            return await self._opening.with_message(call, sight, write)
        return await self._writing.append(call, sight, write)

    @handles(UPDATE_MESSAGE)
    async def update_message(self, call: Call, params: UpdateMessage) -> Message:
        sight = await self._writing.sight(call, params.channel_id)
        judged = await self._writing.find_live(params.channel_id, params.message_id)
        if judged["author_id"] != call.user_id:
            raise Forbidden("Only its author may edit a message.")
        if isinstance(sight, DirectSight):
            sight.needs_peace()
        mentions = await mentions_in(self._store, params.content, sight)
        mine = (await own_reactions(self._store, call.user_id, [judged]))[params.message_id]
        if not _difference(judged, params.content, mentions):
            return message_view(judged, mine)
        target, now = message_lookup(params.channel_id, params.message_id), _now()

        def write(head: Head) -> Written[Message]:
            before = live(head, target)
            changed = _difference(before, params.content, mentions)
            if not changed:
                raise LostRace
            changed["edited_date"] = now
            event = MessageChanged(
                message_id=params.message_id, changes={**changed, "edited_date": rfc3339(now)}, was=before["rev"]
            )
            changed["rev"] = head.rev + 1
            names = {"$set": {**changed, "names": mentions.names}}
            nobody = {"$set": changed, "$unset": {"names": 1}}
            update = Update("messages", unchanged(before), names if mentions.names else nobody)
            after = {**before, **changed}
            return Written(event, [update], message_view(after, mine), head.last_id, leaves={target: after})

        return await self._writing.append(call, sight, write, [target])

    @handles(DELETE_MESSAGE)
    async def delete_message(self, call: Call, params: DeleteMessage) -> Empty:
        sight = await self._writing.sight(call, params.channel_id)
        judged = await self._writing.find(params.channel_id, params.message_id)
        if "live" not in judged:
            return Empty()
        if judged["author_id"] != call.user_id:
            sight.needs(MANAGE_MESSAGES)
        target = message_lookup(params.channel_id, params.message_id)

        def write(head: Head) -> Written[Empty]:
            before = live(head, target)
            gone = dict.fromkeys(("live", "content", "mentions", "names", "reactions"), 1)
            writes: list[Write] = [
                Update("messages", unchanged(before), {"$set": {"rev": head.rev + 1}, "$unset": gone}),
                *spent_reactions(before),
            ]
            event = MessageDeleted(message_id=params.message_id)
            buried = {name: value for name, value in before.items() if name not in gone}
            return Written(event, writes, Empty(), head.last_id, leaves={target: buried})

        return await self._writing.append(call, sight, write, [target])


def _difference(before: Document, content: str, mentions: Mentions) -> dict[str, Any]:
    after = {"content": content, "mentions": mentions.users, "mentions_everyone": mentions.everyone}
    return {name: value for name, value in after.items() if before[name] != value}


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
