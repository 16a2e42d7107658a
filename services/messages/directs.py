"""Direct channels: there is one for each set of people, for ever; each of them has it open, or not.

Who makes one has it open; the others get it with the first message. Who leaves a channel of two has only closed it: the
next message opens it again. Who leaves one of more is out of it, until somebody adds the same people anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.messages.acquaintance import must_be_acquainted, settled_blockers
from services.messages.direct_sight import PAIR, people_in
from services.messages.opening import (
    direct_scope,
    direct_view,
    find_direct,
    must_have_room,
    profiles_for,
    tell_opened,
    update_open,
)
from shared.directs import open_directs
from shared.errors import Conflict, InvalidParams, LostRace
from shared.ids import new_id
from shared.journal.entry import happened
from shared.journal.reader import changes_since, head_of, head_within
from shared.profiles import read_profiles
from shared.protocol.account import User
from shared.protocol.contract import Empty
from shared.protocol.direct import (
    ADD_DIRECT_CHANNEL,
    GET_DIRECT_CHANNELS,
    LEAVE_DIRECT_CHANNEL,
    AddDirectChannel,
    DirectChannel,
    DirectChannelAdded,
    DirectChannelDeleted,
    DirectChannels,
    DirectChannelsDelta,
    GetDirectChannels,
    LeaveDirectChannel,
)
from shared.scopes import self_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Document

_REPLY_BYTES = 480 << 10


class Directs:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(ADD_DIRECT_CHANNEL)
    async def add_direct_channel(self, call: Call, params: AddDirectChannel) -> DirectChannel:
        others = sorted(set(params.user_ids) - {call.user_id})
        if not others:
            raise InvalidParams.of("user_ids", "names nobody but you")
        await must_be_acquainted(self._store, call.user_id, others)
        people = sorted([call.user_id, *others])
        direct = await find_direct(self._store, key=":".join(people))
        if direct is None:
            return await self._make(call, people)
        if direct["left"] or call.user_id not in direct["open"]:
            return await self._open(call, direct)
        call.is_done_already()
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, direct_scope(direct["_id"]))
        return (await self._views(call, [{**direct, "head": [{"rev": head.rev, "last_id": head.last_id}]}]))[0]

    async def _make(self, call: Call, people: list[str]) -> DirectChannel:
        """Of its own `self` alone: nobody else hears of it before something is written."""
        mine = self_scope(call.user_id)
        users = await self._profiles(call, people)
        async with self._journal.change(call.origin, mine) as change:
            await must_have_room(change, call.user_id)
            direct: Document = {
                "_id": new_id(),
                "users": people,
                "key": ":".join(people),
                "blocked_by": await settled_blockers(change, people) if len(people) == PAIR else [],
                "open": {call.user_id: {"start": 0, "rev": change.rev(mine)}},
                "left": [],
                "stamp": 0,
            }
            change.insert("directs", direct)
            made = direct_view(direct, users, 0, change.rev(mine))
            change.record(mine, DirectChannelAdded(channel=made, at=0))
            return change.returns(made)

    async def _open(self, call: Call, direct: Document) -> DirectChannel:
        """Opens one that was closed or left; whoever else had left is in it again, and the others see so."""
        told = sorted({call.user_id, *(direct["open"] if direct["left"] else ())})
        shown = await profiles_for(self._store, told, direct["users"], together={*direct["open"], call.user_id})
        scope = direct_scope(direct["_id"])
        async with self._journal.change(call.origin, scope, *map(self_scope, told)) as change:
            if await change.find_one("directs", {"_id": direct["_id"], "stamp": direct["stamp"]}) is None:
                raise LostRace
            if call.user_id not in direct["open"]:
                await must_have_room(change, call.user_id)
            at = change.head(scope).rev
            views = {each: tell_opened(change, direct, each, shown[each], at) for each in told}
            update_open(change, direct, told, left=[])
            self._holds(call, shown[call.user_id])
            return change.returns(views[call.user_id])

    @handles(LEAVE_DIRECT_CHANNEL)
    async def leave_direct_channel(self, call: Call, params: LeaveDirectChannel) -> Empty:
        direct = await find_direct(self._store, _id=params.channel_id)
        if direct is None or call.user_id not in direct["open"]:
            return Empty()
        pair = len(direct["users"]) == PAIR
        told = [] if pair else sorted(direct["open"].keys() - {call.user_id})
        rest = [user_id for user_id in people_in(direct) if user_id != call.user_id]
        shown = await profiles_for(self._store, told, rest, together=told)
        scope, mine = direct_scope(direct["_id"]), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine, *map(self_scope, told)) as change:
            if await change.find_one("directs", {"_id": direct["_id"], "stamp": direct["stamp"]}) is None:
                raise LostRace
            change.record(mine, DirectChannelDeleted(channel_id=direct["_id"]))
            # In the channel's own order, so that no gateway tells the leaver of anything later in it.
            change.tell_gateways(scope, "direct_channel_left", user_id=call.user_id)
            for user_id in told:
                tell_opened(change, direct, user_id, shown[user_id], change.rev(scope))
            rest_open = {name: value for name, value in direct["open"].items() if name != call.user_id}
            left = direct["left"] if pair else [*direct["left"], call.user_id]
            update_open(change, {**direct, "open": rest_open}, told, left=left)
            change.update("directs", {"_id": direct["_id"]}, {"$unset": {f"open.{call.user_id}": 1}})
        return Empty()

    @handles(GET_DIRECT_CHANNELS)
    async def get_direct_channels(self, call: Call, params: GetDirectChannels) -> DirectChannels | DirectChannelsDelta:
        mine = self_scope(call.user_id)
        changes = None
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, mine)
            if params.since is not None:
                changes = await changes_since(snapshot, mine, params.since, head)
            opened = {params["channel"]["id"] for params in happened(changes or [], "direct_channel_added")}
            left = {params["channel_id"] for params in happened(changes or [], "direct_channel_deleted")}
            wanted = changes is None or opened
            directs = await open_directs(snapshot, call.user_id) if wanted else []
        call.holds(mine.name, head.rev)
        if changes is None:
            channels = await self._views(call, directs)
            listed = DirectChannels(rev=head.rev, channels=channels)
            if len(listed.model_dump_json()) > _REPLY_BYTES:
                raise Conflict("Your direct channels are too many for one reply: leave some.")
            return listed
        updated = await self._views(call, [direct for direct in directs if direct["_id"] in opened])
        gone = sorted((opened | left) - {direct["_id"] for direct in directs})
        return DirectChannelsDelta(rev=head.rev, updated=updated, deleted=gone)

    async def _views(self, call: Call, directs: Iterable[Document]) -> list[DirectChannel]:
        """With all their users, of whom the client hears from now on."""
        directs = list(directs)
        shown = {user_id for direct in directs for user_id in people_in(direct)}
        users = {user.id: user for user in await self._profiles(call, sorted(shown))}
        return [
            direct_view(
                direct,
                [users[user_id] for user_id in people_in(direct) if user_id in users],
                head_of(direct).last_id,
                direct["open"][call.user_id]["rev"],
            )
            for direct in directs
        ]

    async def _profiles(self, call: Call, user_ids: list[str]) -> list[User]:
        users = await read_profiles(self._store, user_ids, call.user_id)
        self._holds(call, users)
        return users

    def _holds(self, call: Call, users: list[User]) -> None:
        for user in users:
            call.holds(user_scope(user.id).name, user.rev)
