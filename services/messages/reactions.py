"""Reactions: who reacted is a row each, how many did is counted in the message.

Both are written by the same transaction, so a count can't drift from its rows. Many may react to one message at once:
appends of one group see the message as those before them leave it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from services.messages.writing import Writing, live, message_lookup, unchanged
from shared.errors import Conflict, LostRace
from shared.journal import Head, Lookup, Written
from shared.permissions import ADD_REACTIONS
from shared.protocol.contract import Empty
from shared.protocol.message import MessageChanged, Reaction, ReactionMade
from shared.protocol.reaction import ADD_REACTION, DELETE_REACTION, AddReaction, DeleteReaction
from shared.service import Call, Parts, handles
from shared.store import Document, Filter, Snapshot, Store, translated
from shared.writes import Delete, Insert, Update, Write

R = TypeVar("R", bound=BaseModel)

MAX_KINDS = 20

Tallies = list[dict[str, Any]]
"""`{emoji, count}`, in the order in which each emoji came first."""


@dataclass(frozen=True, slots=True)
class _Mine:
    """One user's reaction to a message: its row, and the message that counts it."""

    target: Lookup
    row: Lookup
    message_id: int
    emoji: str
    user_id: str

    @classmethod
    def of(cls, call: Call, params: AddReaction | DeleteReaction) -> _Mine:
        row: dict[str, str | int] = {
            "channel_id": params.channel_id,
            "message_id": params.message_id,
            "user_id": call.user_id,
            "emoji": params.emoji,
        }
        target = message_lookup(params.channel_id, params.message_id)
        return cls(target, Lookup("reactions", tuple(row.items())), params.message_id, params.emoji, call.user_id)

    def written(self, head: Head, before: Document, tallies: Tallies, outcome: R, *, on: bool) -> Written[R]:
        event = MessageChanged(
            message_id=self.message_id,
            changes={"reactions": tallies},
            was=before["rev"],
            reaction=ReactionMade(emoji=self.emoji, user_id=self.user_id, on=on),
        )
        changed = {"reactions": tallies, "rev": head.rev + 1}
        row: Write = Insert("reactions", self.row.filter) if on else Delete("reactions", self.row.filter)
        writes = [row, Update("messages", unchanged(before), {"$set": changed})]
        leaves = {self.target: {**before, **changed}, self.row: self.row.filter if on else None}
        return Written(event, writes, outcome, head.last_id, leaves=leaves)


class Reactions:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._writing = Writing(parts)

    @handles(ADD_REACTION)
    async def add_reaction(self, call: Call, params: AddReaction) -> Reaction:
        sight = await self._writing.sight(call, params.channel_id)
        sight.needs(ADD_REACTIONS)
        judged = await self._writing.find_live(params.channel_id, params.message_id)
        mine = _Mine.of(call, params)
        if await self._exists(mine):
            call.is_done_already()
            return _reaction(judged["reactions"], params.emoji)
        if len(_one_more(judged["reactions"], params.emoji)) > MAX_KINDS:
            raise Conflict(f"A message has at most {MAX_KINDS} kinds of reactions.")

        def write(head: Head) -> Written[Reaction]:
            before = live(head, mine.target)
            tallies = _one_more(before["reactions"], params.emoji)
            if head.documents[mine.row] is not None or len(tallies) > MAX_KINDS:
                raise LostRace
            return mine.written(head, before, tallies, _reaction(tallies, params.emoji), on=True)

        return await self._writing.append(call, sight, write, [mine.target, mine.row])

    @handles(DELETE_REACTION)
    async def delete_reaction(self, call: Call, params: DeleteReaction) -> Empty:
        sight = await self._writing.sight(call, params.channel_id)
        judged = await self._writing.find(params.channel_id, params.message_id)
        mine = _Mine.of(call, params)
        if "live" not in judged or not await self._exists(mine):
            return Empty()

        def write(head: Head) -> Written[Empty]:
            before = live(head, mine.target)
            if head.documents[mine.row] is None:
                raise LostRace
            return mine.written(head, before, _one_less(before["reactions"], params.emoji), Empty(), on=False)

        return await self._writing.append(call, sight, write, [mine.target, mine.row])

    async def _exists(self, mine: _Mine) -> bool:
        with translated():
            found = await self._store["reactions"].find_one(mine.row.filter, projection={"_id": 1})
        return found is not None


async def own_reactions(
    reader: Store | Snapshot, user_id: str, messages: Sequence[Document]
) -> Mapping[int, frozenset[str]]:
    """The emojis with which the user reacted to each of these messages of one channel; in one query.

    To be read after the messages: what is newer than they are comes again as an event, what is older would stay.
    """
    found: defaultdict[int, frozenset[str]] = defaultdict(frozenset)
    reacted = [message["id"] for message in messages if message["reactions"]]
    if not reacted:
        return found
    query: Filter = {
        "channel_id": messages[0]["channel_id"],
        "message_id": {"$in": sorted(reacted)},
        "user_id": user_id,
    }
    limit = MAX_KINDS * len(reacted)
    if isinstance(reader, Snapshot):
        rows = await reader.find("reactions", query, limit)
    else:
        with translated():
            rows = await reader["reactions"].find(query).to_list(limit)
    for row in rows:
        found[row["message_id"]] |= {row["emoji"]}
    return found


def spent_reactions(message: Document) -> list[Write]:
    """With a deleted message goes a note to clear its rows by: they may be too many for one transaction."""
    if not message["reactions"]:
        return []
    return [Insert("spent_messages", {"channel_id": message["channel_id"], "message_id": message["id"]})]


def _one_more(tallies: Tallies, emoji: str) -> Tallies:
    if all(each["emoji"] != emoji for each in tallies):
        return [*tallies, {"emoji": emoji, "count": 1}]
    return [{**each, "count": each["count"] + (each["emoji"] == emoji)} for each in tallies]


def _one_less(tallies: Tallies, emoji: str) -> Tallies:
    fewer = [{**each, "count": each["count"] - (each["emoji"] == emoji)} for each in tallies]
    return [each for each in fewer if each["count"] > 0]


def _reaction(tallies: Tallies, emoji: str) -> Reaction:
    count = next((each["count"] for each in tallies if each["emoji"] == emoji), 1)
    return Reaction(emoji=emoji, count=count, me=True)
