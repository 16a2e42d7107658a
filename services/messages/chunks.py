"""Reading a channel page by page."""

from __future__ import annotations

from dataclasses import dataclass

from services.messages.views import message_view
from shared.journal.reader import read_heads
from shared.profiles import read_profiles
from shared.protocol.message import GET_MESSAGE_CHUNK, GetMessageChunk, Message, MessageChunk
from shared.scopes import user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Filter, Store, translated

_PAGE_BYTES = 320 << 10
"""A page is cut here, so that with its users it stays below the 512 KiB a reply may have."""


@dataclass(frozen=True, slots=True)
class _Page:
    messages: list[Message]
    replies: list[Message]
    has_more: bool


class Chunks:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._rights = parts.rights

    @handles(GET_MESSAGE_CHUNK)
    async def get_message_chunk(self, call: Call, params: GetMessageChunk) -> MessageChunk:
        sight = await self._rights.sight(params.channel_id, call.user_id, fresh=call.attempt > 0)
        # The head is read before the page: a page may hold something newer than it says, never less.
        head = (await read_heads(self._store, [sight.scope.name]))[sight.scope.name]
        page = await _read_page(self._store, params)
        mentioned = {user_id for message in page.messages for user_id in message.mentions}
        authors = {message.author_id for message in [*page.messages, *page.replies]}
        users = await read_profiles(self._store, authors | mentioned, call.user_id)
        await self._rights.unchanged(sight)
        call.holds(sight.scope.name, head.rev)
        for user in users:
            call.holds(user_scope(user.id).name, user.rev)
        return MessageChunk(
            rev=head.rev,
            messages=page.messages,
            has_more=page.has_more,
            last_message_id=head.last_id,
            users=users,
            replies=page.replies,
        )


async def _read_page(store: Store, params: GetMessageChunk) -> _Page:
    """Messages outwards from the anchor, with the targets of replies, as many as fit; then in ascending order."""
    newest = params.anchor == 0
    ascending = params.direction and not newest
    live: Filter = {"channel_id": params.channel_id, "live": True}
    beyond: Filter = {} if newest else {"id": {"$gt" if ascending else "$lt": params.anchor}}
    with translated():
        cursor = store["messages"].find(live | beyond, sort=[("id", 1 if ascending else -1)], limit=params.amount + 1)
        found = await cursor.to_list(params.amount + 1)
    outwards = [message_view(message) for message in found[: params.amount]]
    targets = await _reply_targets(store, params.channel_id, outwards)
    kept = _fitting(outwards, targets)
    messages = sorted(kept, key=lambda message: message.id)
    ids = {message.id for message in messages}
    wanted = {message.reply_to for message in messages} - ids
    replies = [targets[target] for target in sorted(targets) if target in wanted]
    has_more = len(kept) < len(found) and not (newest and params.direction)
    return _Page(messages, replies, has_more)


async def _reply_targets(store: Store, channel_id: str, messages: list[Message]) -> dict[int, Message]:
    wanted = {message.reply_to for message in messages if message.reply_to is not None}
    if not wanted:
        return {}
    query: Filter = {"channel_id": channel_id, "id": {"$in": sorted(wanted)}, "live": True}
    with translated():
        found: list[Document] = await store["messages"].find(query).to_list(len(wanted))
    return {message["id"]: message_view(message) for message in found}


def _fitting(messages: list[Message], targets: dict[int, Message]) -> list[Message]:
    """The first messages, their reply targets counted, that stay within a reply's size; at least one."""
    size = 0
    for index, message in enumerate(messages):
        size += len(message.model_dump_json())
        if message.reply_to in targets:
            size += len(targets[message.reply_to].model_dump_json())
        if index and size > _PAGE_BYTES:
            return messages[:index]
    return messages
