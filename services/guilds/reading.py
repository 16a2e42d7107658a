"""Where members start to read what they come to see: for one or two at once, for many behind the change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from services.guilds.categories import MAX_CHANNELS
from services.guilds.standing import Reader
from services.guilds.views import visible
from shared.cascade import Task, cascade, works_off
from shared.errors import RateLimited
from shared.journal import Change
from shared.journal.reader import head_lookup, head_of
from shared.permissions import ServerRights
from shared.reading_starts import START_READING, has_room, pending_starts, pending_widenings, start_reading
from shared.rights import channel_overwrites, member_rights
from shared.service import Parts
from shared.store import Document
from shared.widening import Widened, Widening, widened, with_rules

_MEMBERS_AT_ONCE = 500
_JUDGED_AT_ONCE = 10_000
_TRY_AGAIN_MS = 1_000
_MEMBER: Document = {"server_id": 1, "user_id": 1, "roles": 1, "settled": 1}


async def channels_with_heads(change: Change, server_id: str) -> list[Document]:
    named: Document = {"$addFields": {"scope": {"$concat": ["channel:", "$_id"]}}}
    scoped: list[Document] = [{"$match": {"server_id": server_id}}, named]
    return await change.aggregate("channels", [*scoped, *head_lookup("scope")], MAX_CHANNELS)


# One member.


async def starts_as_owner(change: Change, rights: ServerRights, heir: Document) -> None:
    """Of the member who gets the server, and so sees all of it."""
    await _start_between(change, (rights, heir), (replace(rights, owner_id=heir["user_id"]), heir))


async def starts_with_roles(change: Change, rights: ServerRights, before: Document, after: Document) -> None:
    """Of a member whose roles change. What is pending for them is settled by the roles of before."""
    pending = await pending_widenings(change, rights.server_id, before.get("settled", 0))
    start_reading(change, rights.server_id, [before["user_id"]], pending_starts(pending, before))
    await _start_between(change, (rights, before), (rights, after))


async def _start_between(
    change: Change, before: tuple[ServerRights, Document], after: tuple[ServerRights, Document]
) -> None:
    """Whoever comes to see a channel starts to read it at its end."""
    (rights_before, member_before), (rights_after, member_after) = before, after
    channels = await channels_with_heads(change, rights_after.server_id)
    seen = {channel["_id"] for channel in visible(channels, rights_before, member_rights(member_before))}
    shown = visible(channels, rights_after, member_rights(member_after))
    gained = {channel["_id"]: head_of(channel).last_id for channel in shown if channel["_id"] not in seen}
    start_reading(change, rights_after.server_id, [member_after["user_id"]], gained)


# Any number of members.


async def role_widens(change: Change, rights: ServerRights, role_id: str, rules: Iterable[str], rev: int) -> None:
    """To be told of each change of a role's rules; `rights` are those of before."""
    after = with_rules(rights, role_id, rules, rev)
    if after.roles[role_id] <= rights.roles[role_id]:
        return
    found = await change.find("channels", {"server_id": rights.server_id}, MAX_CHANNELS, projection={"roles": 1})
    overwrites = {channel["_id"]: channel_overwrites(channel) for channel in found}
    await _widen(change, rights, after, {each: Widened(same, same) for each, same in overwrites.items()})


async def role_goes(change: Change, rights: ServerRights, role_id: str, rev: int) -> None:
    """What channels deny to it goes with it."""
    naming = {"server_id": rights.server_id, "roles.role_id": role_id}
    found = await change.find("channels", naming, MAX_CHANNELS, projection={"roles": 1})
    overwrites = {channel["_id"]: channel_overwrites(channel) for channel in found}
    channels = {
        channel_id: Widened(before, {each: before[each] for each in before if each != role_id})
        for channel_id, before in overwrites.items()
    }
    await _widen(change, rights, with_rules(rights, role_id, None, rev), channels)


async def overwrites_widen(
    change: Change, rights: ServerRights, channel_id: str, overwrites: Widened, rev: int
) -> None:
    """To be told of each change of a channel's overwrites."""
    await _widen(change, rights, replace(rights, perm_rev=rev), {channel_id: overwrites})


async def _widen(change: Change, before: ServerRights, after: ServerRights, channels: dict[str, Widened]) -> None:
    """Leaves it to a cascade, if somebody may come to see a channel in which something was said.

    Raises RateLimited where too much of it is pending: whoever reads has to reckon with all of that.
    """
    gainers = widened(before, after, channels)
    last_ids = await _last_ids(change, gainers) if gainers else {}
    if not last_ids:
        return
    if not await has_room(change, before.server_id):
        told = "The last changes of who sees which channels are still being written for all members; try again later."
        raise RateLimited(told, retry_after_ms=_TRY_AGAIN_MS)
    spoken_in = {channel_id: channels[channel_id] for channel_id in last_ids}
    for_whom = frozenset[str]().union(*(gainers[channel_id] for channel_id in last_ids))
    widening = Widening(before, after, spoken_in, last_ids, for_whom)
    change.insert("cascades", cascade("guilds", START_READING, **widening.document()))


async def _last_ids(reader: Reader, channel_ids: Iterable[str]) -> dict[str, int]:
    """Of those in which anything was said."""
    named = {"$match": {"_id": {"$in": sorted(channel_ids)}}}
    scoped: Document = {"$project": {"scope": {"$concat": ["channel:", "$_id"]}}}
    found = await reader.aggregate("channels", [named, scoped, *head_lookup("scope")], MAX_CHANNELS)
    return {channel["_id"]: last_id for channel in found if (last_id := head_of(channel).last_id)}


class Reading:
    """Works off what such changes leave behind."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @works_off(START_READING)
    async def start_reading(self, task: Task) -> bool:
        """From one member to the next, in the order of their ids; who joins meanwhile has nothing pending."""
        widening = Widening.of(task.about)
        in_server: Document = {"server_id": widening.server_id, "user_id": {"$gt": task.reached or ""}}
        if not widening.is_for_all:
            in_server["roles"] = {"$in": sorted(widening.for_whom)}
        most = members_at_once([widening])
        async with self._store.snapshot() as snapshot:
            if await snapshot.find_one("servers", {"_id": widening.server_id}, projection={"_id": 1}) is None:
                return True
            members = await snapshot.find("members", in_server, most, sort=[("user_id", 1)], projection=_MEMBER)
        async with self._journal.change(task.origin) as change:
            await settle(change, [widening], members)
        if members:
            task.reached = members[-1]["user_id"]
        return len(members) < most


def members_at_once(pending: list[Widening]) -> int:
    """As many as one short transaction can take, if for each another channel is judged, and written, each time."""
    judged = sum(len(widening.channels) for widening in pending)
    return max(1, min(_MEMBERS_AT_ONCE, _JUDGED_AT_ONCE // max(1, judged)))


async def settle(change: Change, pending: list[Widening], members: list[Document]) -> None:
    """Writes what is pending for these members of one server; what is the same for many is found out once."""
    owners = {widening.after.owner_id for widening in pending}
    alike: dict[tuple[frozenset[str], int, str], list[Document]] = {}
    for member in members if pending else ():
        owner_id = member["user_id"] if member["user_id"] in owners else ""
        alike.setdefault((frozenset(member["roles"]), member.get("settled", 0), owner_id), []).append(member)
    for group in alike.values():
        starts = pending_starts(pending, group[0])
        start_reading(change, group[0]["server_id"], (member["user_id"] for member in group), starts)
        await asyncio.sleep(0)
