"""Reading a channel page by page."""

from __future__ import annotations

from dataclasses import dataclass

from services.messages.reactions import own_reactions
from services.messages.sights import Sights
from services.messages.views import message_view
from shared.journal.entry import happened
from shared.journal.reader import changes_since, head_within, read_heads
from shared.profiles import read_profiles
from shared.protocol.account import User
from shared.protocol.message import GET_MESSAGE_CHUNK, GetMessageChunk, Message, MessageChunk, MessagesDelta
from shared.rights import Sight
from shared.scopes import user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Filter, Store, translated

_PAGE_BYTES = 480 << 10
"""A page is cut here, its users counted, so that it stays below the 512 KiB a reply may have."""

_USER_BYTES = 1 << 10
"""More than any user's profile takes."""


@dataclass(frozen=True, slots=True)
class _Page:
    messages: list[Message]
    replies: list[Message]
    has_more: bool


class Chunks:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._sights = Sights(parts)

    @handles(GET_MESSAGE_CHUNK)
    async def get_message_chunk(self, call: Call, params: GetMessageChunk) -> MessageChunk | MessagesDelta:
        sight = await self._sights.of(call, params.channel_id)
        if params.since is not None and (delta := await self._delta(call, sight, params.since)) is not None:
            return delta
        # The head is read before the page: a page may hold something newer than it says, never less.
        head = (await read_heads(self._store, [sight.scope.name]))[sight.scope.name]
        page = await _read_page(self._store, params, call.user_id)
        users = await self._users(call, [*page.messages, *page.replies])
        call.holds(sight.scope.name, head.rev)
        return MessageChunk(
            rev=head.rev,
            messages=page.messages,
            has_more=page.has_more,
            last_message_id=head.last_id,
            users=users,
            replies=page.replies,
        )

    async def _delta(self, call: Call, sight: Sight, since: int) -> MessagesDelta | None:
        """What changed in the whole channel after `since`, or None when it can't be proved or is too much."""
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, sight.scope)
            changes = await changes_since(snapshot, sight.scope, since, head)
            if changes is None:
                return None
            touched = {params["message"]["id"] for params in happened(changes, "message_added")}
            touched |= {params["message_id"] for params in happened(changes, "message_changed", "message_deleted")}
            query: Filter = {"channel_id": sight.channel_id, "id": {"$in": sorted(touched)}, "live": True}
            found = await snapshot.find("messages", query, len(touched), sort=[("id", 1)]) if touched else []
            mine = await own_reactions(snapshot, call.user_id, found)
        updated = [message_view(message, mine[message["id"]]) for message in found]
        if len(_fitting(updated, {})) < len(updated):
            return None
        users = await self._users(call, updated)
        call.holds(sight.scope.name, head.rev)
        gone = sorted(touched - {message.id for message in updated})
        return MessagesDelta(rev=head.rev, updated=updated, deleted=gone, users=users)

    async def _users(self, call: Call, messages: list[Message]) -> list[User]:
        """The authors and the mentioned; the client hears of them from now on."""
        shown = {message.author_id for message in messages} | {
            each for message in messages for each in message.mentions
        }
        users = await read_profiles(self._store, shown, call.user_id)
        for user in users:
            call.holds(user_scope(user.id).name, user.rev)
        return users


async def _read_page(store: Store, params: GetMessageChunk, reader_id: str) -> _Page:
    """The page, in ascending order: as many messages outwards from its place as fit, with the targets of replies."""
    if params.around is not None:
        found, more = await _around(store, params, params.around)
    else:
        found, more = await _beyond(store, params)
    found_targets = await _reply_targets(store, params.channel_id, found)
    mine = await own_reactions(store, reader_id, [*found, *found_targets])
    outwards = [message_view(each, mine[each["id"]]) for each in found]
    targets = {each["id"]: message_view(each, mine[each["id"]]) for each in found_targets}
    kept = _fitting(outwards, targets)
    messages = sorted(kept, key=lambda message: message.id)
    wanted = {message.reply_to for message in messages} - {message.id for message in messages}
    replies = [targets[target] for target in sorted(targets) if target in wanted]
    cut = len(kept) < len(outwards)
    return _Page(messages, replies, more or (cut and not _is_newest(params)))


async def _beyond(store: Store, params: GetMessageChunk) -> tuple[list[Document], bool]:
    """Messages above or below the anchor; nothing is newer than the newest page."""
    newest = params.anchor == 0
    ascending = bool(params.direction) and not newest
    found = await _walk(store, params.channel_id, None if newest else params.anchor, params.amount + 1, up=ascending)
    return found[: params.amount], len(found) > params.amount and not _is_newest(params)


async def _around(store: Store, params: GetMessageChunk, centre: int) -> tuple[list[Document], bool]:
    """Half of the page below the message, the rest from it upwards; nearest first."""
    half = params.amount // 2
    below = await _walk(store, params.channel_id, centre, half + 1, up=False)
    above = await _walk(store, params.channel_id, centre - 1, params.amount - half + 1, up=True)
    older, newer = len(below) > half, len(above) > params.amount - half
    page = [*below[:half], *above[: params.amount - half]]
    nearest = sorted(page, key=lambda message: abs(message["id"] - centre))
    match params.direction:
        case None:
            return nearest, older or newer
        case direction:
            return nearest, newer if direction else older


async def _walk(store: Store, channel_id: str, start: int | None, limit: int, *, up: bool) -> list[Document]:
    """Live messages from an id (exclusive) upwards or downwards; from the newest when there is no id."""
    query: Filter = {"channel_id": channel_id, "live": True}
    if start is not None:
        query["id"] = {"$gt" if up else "$lt": start}
    with translated():
        found: list[Document] = await (
            store["messages"].find(query, sort=[("id", 1 if up else -1)], limit=limit).to_list(limit)
        )
    return found


def _is_newest(params: GetMessageChunk) -> bool:
    """The newest page, asked for what is newer still."""
    return params.anchor == 0 and bool(params.direction)


async def _reply_targets(store: Store, channel_id: str, messages: list[Document]) -> list[Document]:
    wanted = {message["reply_to"] for message in messages if message["reply_to"] is not None}
    if not wanted:
        return []
    query: Filter = {"channel_id": channel_id, "id": {"$in": sorted(wanted)}, "live": True}
    with translated():
        found: list[Document] = await store["messages"].find(query).to_list(len(wanted))
    return found


def _fitting(messages: list[Message], targets: dict[int, Message]) -> list[Message]:
    """The first messages that stay within a reply's size with their targets and users; at least one."""
    size = 0
    users: set[str] = set()
    for index, message in enumerate(messages):
        shown = [message, targets[message.reply_to]] if message.reply_to in targets else [message]
        size += sum(_bytes(each) for each in shown)
        users.update(each.author_id for each in shown)
        users.update(message.mentions)
        if index and size + len(users) * _USER_BYTES > _PAGE_BYTES:
            return messages[:index]
    return messages


def _bytes(message: Message) -> int:
    return len(message.model_dump_json().encode())
