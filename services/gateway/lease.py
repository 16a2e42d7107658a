"""This gateway's lease at presence: its signs of life, and which users have a socket here.

A user counts from the first socket on, and until a while after the last one. An ended lease is final: then another
begins, and all who are here are reported under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from services.gateway.connection import Connection
from services.gateway.upstream import TROUBLE, Upstream
from shared.ids import new_id
from shared.protocol.account import User
from shared.protocol.lease import (
    ENTER_USER,
    KEEP_LEASE,
    MOST_REPORTED,
    REPORT_USERS,
    EnterUser,
    KeepLease,
    ReportUsers,
)
from shared.settings import Settings
from shared.telemetry import logger

_PAUSE = 0.5
_OVERDUE = 12.0
"""Seconds after which a request whose outcome was never told can have none any more."""


class Lease:
    def __init__(self, upstream: Upstream, settings: Settings) -> None:
        self._upstream = upstream
        self._beat = settings.lease_beat
        self._grace = settings.status_grace
        self._id = ""
        self._sockets: dict[str, set[Connection]] = {}
        self._unreported: set[str] = set()
        """Whose coming presence has not confirmed; who leaves stays in it, to be reported when they come back."""
        self._leaving: dict[str, float] = {}
        self._going: set[str] = set()
        """Who was reported as gone without an answer yet."""
        self._uncertain: set[str] = set()
        """Whose coming may yet take effect, though nobody waits for it any more."""
        self._woken = asyncio.Event()
        self._begun = asyncio.Event()

    async def enter(self, connection: Connection) -> User | None:
        """A socket of this user is here. Returns the user as of when they were online, if that was news."""
        user_id = connection.user_id
        sockets = self._sockets.setdefault(user_id, set())
        sockets.add(connection)
        known = len(sockets) > 1 or self._leaving.pop(user_id, None) is not None
        if user_id in self._going:
            known = False
            asyncio.get_running_loop().call_later(_OVERDUE, self._report, user_id)
        if known and user_id not in self._unreported:
            return None
        self._unreported.add(user_id)
        lease = await self._begun_soon()
        if not lease or user_id in self._going:
            self._woken.set()
            return None
        self._uncertain.add(user_id)
        try:
            entered = await self._upstream.call(ENTER_USER, EnterUser(lease=lease, user_id=user_id))
        except TROUBLE as error:
            logger().warning("user_not_entered", error=str(error))
            self._woken.set()
            return None
        self._uncertain.discard(user_id)
        if entered.stands and lease == self._id:
            self._unreported.discard(user_id)
        return entered.user

    async def _begun_soon(self) -> str:
        """The lease; one that is only just beginning is waited for, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE):
                await self._begun.wait()
        return self._id

    def leave(self, connection: Connection) -> None:
        """That socket is closed."""
        sockets = self._sockets.get(connection.user_id)
        if sockets is None or connection not in sockets:
            return
        sockets.discard(connection)
        if not sockets:
            user_id = connection.user_id
            del self._sockets[user_id]
            grace = max(self._grace, _OVERDUE) if user_id in self._uncertain else self._grace
            self._uncertain.discard(user_id)
            self._leaving[user_id] = time.monotonic() + grace
            self._woken.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live())
            group.create_task(self._report_all())

    async def _live(self) -> None:
        while True:
            try:
                pause = self._beat if await self._keep() else 0.0
            except TROUBLE as error:
                logger().warning("lease_not_kept", error=str(error))
                pause = min(self._beat, _PAUSE) / (1 if self._id else 5)
            await asyncio.sleep(pause)

    async def _keep(self) -> bool:
        """Gives a sign of life; False when the lease had ended."""
        if not self._id:
            lease = new_id()
            await self._upstream.call(KEEP_LEASE, KeepLease(lease=lease, begins=True))
            self._id = lease
            self._begun.set()
            self._leaving.clear()
            self._going.clear()
            self._unreported = set(self._sockets)
            self._woken.set()
            return True
        if not (await self._upstream.call(KEEP_LEASE, KeepLease(lease=self._id))).stands:
            logger().warning("lease_had_ended", users=len(self._sockets))
            self._id = ""
            self._begun.clear()
            return False
        return True

    async def _report_all(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._woken.wait()
            self._woken.clear()
            if not self._id:
                continue
            try:
                while await self._report_some():
                    pass
            except TROUBLE as error:
                logger().warning("users_not_reported", error=str(error))
                await asyncio.sleep(_PAUSE)

    def _until_next(self) -> float:
        next_due = min(self._leaving.values(), default=float("inf"))
        return min(max(next_due - time.monotonic(), 0.01), self._beat)

    async def _report_some(self) -> bool:
        """One report; False when there is nothing to tell, or nobody to tell it of."""
        now, lease = time.monotonic(), self._id
        self._going.difference_update(self._sockets)
        came = sorted(self._unreported & self._sockets.keys())[:MOST_REPORTED]
        due = (user_id for user_id, at in self._leaving.items() if at <= now)
        went = sorted({*due, *self._going})[:MOST_REPORTED]
        if not lease or not (came or went):
            return False
        self._going.update(went)
        self._uncertain.update(came)
        report = ReportUsers(lease=lease, came=came, went=went)
        stands = (await self._upstream.call(REPORT_USERS, report)).stands
        self._going.difference_update(went)
        self._uncertain.difference_update(came)
        for user_id in went:
            self._leaving.pop(user_id, None)
            if user_id in self._sockets:
                self._unreported.add(user_id)  # back before presence had heard of it
            else:
                self._unreported.discard(user_id)
        if stands and lease == self._id:
            self._unreported.difference_update(came)
            return True
        return False

    def _report(self, user_id: str) -> None:
        if user_id in self._sockets:
            self._unreported.add(user_id)
            self._woken.set()
