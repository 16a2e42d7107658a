"""Gateways as leases: whoever gives no sign of life is dead, and its users go offline in a wave.

One replica watches, by its own monotonic clock. It ends a lease by an update that names the beat it saw last, so that
the end is final: a gateway that was only slow finds its lease ended, and begins another with all its users.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta

from services.presence.status import Whereabouts
from services.presence.watch import Watch
from shared.cascade import Task, cascade, works_off
from shared.errors import LostRace, NotFound, Unavailable
from shared.journal import Origin
from shared.profiles import PROFILE, profile
from shared.protocol.lease import (
    ENTER_USER,
    KEEP_LEASE,
    REPORT_USERS,
    Entered,
    EnterUser,
    KeepLease,
    LeaseState,
    ReportUsers,
)
from shared.service import Call, Parts, handles
from shared.store import Filter, translated
from shared.telemetry import logger

GO_OFFLINE = "go_offline"
_AT_ONCE = 100
_MOST_GATEWAYS = 10_000
_LATE = timedelta(seconds=30)
"""After so long nothing that was asked under a lease before its end can still be under way."""
_WATCHER_MS = 5_000
_WITHIN = 5.0


class Leases:
    def __init__(self, parts: Parts, whereabouts: Whereabouts) -> None:
        self._store = parts.store
        self._bus = parts.bus
        self._journal = parts.journal
        self._whereabouts = whereabouts
        self._holder = parts.settings.name
        self._every = parts.settings.lease_beat / 2
        self._watch = Watch(parts.settings)

    @handles(KEEP_LEASE)
    async def keep_lease(self, _call: Call, params: KeepLease) -> LeaseState:
        with translated():
            if params.begins:
                await self._store["gateways"].insert_one({"_id": params.lease, "beat": 0})
                return LeaseState(stands=True)
            result = await self._store["gateways"].update_one(_standing(params.lease), {"$inc": {"beat": 1}})
        return LeaseState(stands=bool(result.matched_count))

    @handles(ENTER_USER)
    async def enter_user(self, call: Call, params: EnterUser) -> Entered:
        stands = await self._stands(params.lease)
        user = await self._whereabouts.come(call.origin, params.user_id, params.lease) if stands else None
        if user is None:
            with translated():
                user = await self._store["users"].find_one({"_id": params.user_id}, projection=PROFILE)
        if user is None:
            raise NotFound("user")
        return Entered(stands=stands, user=profile(user, params.user_id))

    @handles(REPORT_USERS)
    async def report_users(self, call: Call, params: ReportUsers) -> LeaseState:
        if not await self._stands(params.lease):
            return LeaseState(stands=False)
        came = (self._whereabouts.come(call.origin, user_id, params.lease) for user_id in params.came)
        went = (self._whereabouts.go(call.origin, user_id, params.lease) for user_id in params.went)
        await _all_of(*came, *went)
        return LeaseState(stands=True)

    @works_off(GO_OFFLINE)
    async def go_offline(self, task: Task) -> bool:
        """The wave: a batch of those who had a socket under an ended lease."""
        lease = task.about["lease"]
        with translated():
            users = await self._store["users"].find({"present": lease}, {"_id": 1}).limit(_AT_ONCE).to_list(_AT_ONCE)
        await _all_of(*(self._whereabouts.go(task.origin, user["_id"], lease) for user in users))
        if not users and task.about["last"]:
            with translated():
                await self._store["gateways"].delete_one({"_id": lease})
        return not users

    async def run(self) -> None:
        """Watches, while no other replica does."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._look()
            except (Unavailable, LostRace) as error:
                self._watch.outage(time.monotonic())
                logger().warning("gateways_not_watched", error=str(error))

    async def _look(self) -> None:
        if not self._bus.connected:
            raise Unavailable
        if not await self._store.take_lease("gateways", self._holder, _WATCHER_MS):
            self._watch.forget()
            return
        with translated():
            standing = self._store["gateways"].find({"ended": {"$exists": False}})
            beats = {each["_id"]: each["beat"] for each in await standing.to_list(_MOST_GATEWAYS)}
        for lease in self._watch.lapsed(beats, time.monotonic()):
            await self._end(lease, beats[lease])

    async def _end(self, lease: str, beat: int) -> None:
        """Its end, and what follows from it, in one change; a second look is for who came at the last moment."""
        again = cascade("presence", GO_OFFLINE, lease=lease, last=True)
        again["due"] += _LATE
        try:
            async with self._journal.change(Origin({}, time.monotonic() + _WITHIN)) as change:
                change.update("gateways", {**_standing(lease), "beat": beat}, {"$set": {"ended": True}})
                change.insert("cascades", cascade("presence", GO_OFFLINE, lease=lease, last=False))
                change.insert("cascades", again)
        except LostRace:
            return  # it has given a sign of life after all
        logger().warning("gateway_taken_for_dead", lease=lease)

    async def _stands(self, lease: str) -> bool:
        with translated():
            return await self._store["gateways"].find_one(_standing(lease), {"_id": 1}) is not None


def _standing(lease: str) -> Filter:
    return {"_id": lease, "ended": {"$exists": False}}


async def _all_of(*works: Awaitable[object]) -> None:
    """Side by side, each to its end, so that their commits are shared; then raises what one of them failed with."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
