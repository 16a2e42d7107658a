"""Sessions: a login is one, with any number of sockets. Tokens are stored as digests only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shared.errors import LostRace, Unauthenticated, Unavailable
from shared.ids import new_id, new_token, token_digest
from shared.journal import Change
from shared.journal.reader import read_heads
from shared.profiles import PROFILE, profile
from shared.protocol.account import (
    CHECK_SESSIONS,
    DELETE_SESSION,
    GET_SESSIONS,
    IDENTIFY,
    LOGOUT,
    SESSION_ENDED_SUBJECT,
    CheckSessions,
    DeleteSession,
    EndedSessions,
    Identify,
    Identity,
    Session,
    SessionList,
)
from shared.protocol.contract import Empty, NoParams
from shared.scopes import self_scope
from shared.service import Call, Parts, handles
from shared.store import Document, translated
from shared.telemetry import logger

_SLIDES_AFTER = timedelta(hours=1)
"""So often is it written down, at most, that a session is in use."""
_LISTED = 200
_ENDED_AT_ONCE = 1000
"""What is left beyond is over all the same, by its generation, and goes when it expires."""
_STANDING: Document = {"generation": 1, "deleted": 1}


class Sessions:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._bus = parts.bus
        self._lifetime = timedelta(days=parts.settings.session_days)
        self._slides_after = min(_SLIDES_AFTER, self._lifetime / 2)
        self._epoch = parts.epoch

    def new(self, user: Document, device: str | None, address: str) -> tuple[Document, str]:
        """A session's document, and the token that is shown once and not kept.

        A session is of the user's `generation` at the time; a change of the password begins another one. So a login
        that is under way meanwhile, with the old password, makes a session that is over already.
        """
        token, now = new_token(), _now()
        document = {
            "_id": new_id(),
            "token": token_digest(token),
            "user_id": user["_id"],
            "generation": _generation(user),
            "device": device,
            "home": _home(user["_id"], address),
            "created_date": now,
            "used_date": now,
            "expires_date": now + self._lifetime,
        }
        return document, token

    @handles(IDENTIFY)
    async def identify(self, call: Call, params: Identify) -> Identity:
        with translated():
            session = await self._store["sessions"].find_one({"token": token_digest(params.token)})
            if session is None:
                raise Unauthenticated("The token was refused; log in again.")
            user = await self._store["users"].find_one({"_id": session["user_id"]}, projection=PROFILE | _STANDING)
        if user is None or not _stands(session, user):
            raise Unauthenticated("The token was refused; log in again.")
        await self._slide(session, call.address)
        return Identity(user=profile(user, user["_id"]), session_id=session["_id"], epoch=self._epoch.value)

    @handles(LOGOUT)
    async def logout(self, call: Call, _params: NoParams) -> Empty:
        await self._end(call.session_id)
        return Empty()

    @handles(GET_SESSIONS)
    async def get_sessions(self, call: Call, _params: NoParams) -> SessionList:
        scope = self_scope(call.user_id)
        head = (await read_heads(self._store, [scope.name]))[scope.name]
        mine = {"user_id": call.user_id, "expires_date": {"$gt": _now()}}
        with translated():
            user = await self._store["users"].find_one({"_id": call.user_id}, projection=_STANDING)
            found = await self._store["sessions"].find(mine).sort("used_date", -1).to_list(_LISTED)
        sessions = [
            Session(
                id=session["_id"],
                device=session["device"],
                created_date=session["created_date"],
                used_date=session["used_date"],
                current=session["_id"] == call.session_id,
            )
            for session in found
            if user is not None and _stands(session, user)
        ]
        return SessionList(rev=head.rev, sessions=sessions)

    @handles(DELETE_SESSION)
    async def delete_session(self, call: Call, params: DeleteSession) -> Empty:
        mine = {"_id": params.session_id, "user_id": call.user_id}
        with translated():
            found = await self._store["sessions"].find_one(mine, projection={"_id": 1})
        if found is not None:
            await self._end(params.session_id)
        return Empty()

    @handles(CHECK_SESSIONS)
    async def check_sessions(self, _call: Call, params: CheckSessions) -> EndedSessions:
        """Those that are over. The others are in use, by sockets that may stay open for longer than a session does."""
        with translated():
            sessions = await self._store["sessions"].find({"_id": {"$in": params.session_ids}}).to_list(None)
            owners = {"_id": {"$in": [session["user_id"] for session in sessions]}}
            users = {user["_id"]: user async for user in self._store["users"].find(owners, projection=_STANDING)}
        standing = {
            session["_id"]: session
            for session in sessions
            if session["user_id"] in users and _stands(session, users[session["user_id"]])
        }
        await self._keep([each for each, session in standing.items() if self._is_to_slide(session)])
        return EndedSessions(session_ids=[each for each in params.session_ids if each not in standing])

    async def is_one_from(self, user_id: str, address: str) -> bool:
        """Whether the user has a session that was begun, or was used lately, from this address."""
        mine = {"user_id": user_id, "home": _home(user_id, address), "expires_date": {"$gt": _now()}}
        with translated():
            return await self._store["sessions"].find_one(mine, projection={"_id": 1}) is not None

    async def delete_all(self, change: Change, user_id: str, but: str = "") -> list[str]:
        """Stages the end of a user's sessions, except one; those it names are to be told of after the commit."""
        sessions = await change.find("sessions", {"user_id": user_id, "_id": {"$ne": but}}, _ENDED_AT_ONCE)
        for session in sessions:
            change.delete("sessions", {"_id": session["_id"]})
        return [session["_id"] for session in sessions]

    async def tell_ended(self, session_ids: Iterable[str]) -> None:
        """Their sockets are told at once; a gateway that misses the word finds out when it checks its sessions."""
        for session_id in session_ids:
            try:
                await self._bus.publish(SESSION_ENDED_SUBJECT, session_id.encode())
            except Unavailable:
                logger().warning("session_end_not_told", ended=session_id)

    async def _end(self, session_id: str) -> None:
        with translated():
            await self._store["sessions"].delete_one({"_id": session_id})
        await self.tell_ended([session_id])

    async def _slide(self, session: Document, address: str) -> None:
        home = _home(session["user_id"], address) if address else session.get("home")
        if home == session.get("home") and not self._is_to_slide(session):
            return
        with translated():
            await self._store["sessions"].update_one({"_id": session["_id"]}, {"$set": {**self._used(), "home": home}})

    async def _keep(self, session_ids: list[str]) -> None:
        """As good as it goes: that others are over must be told all the same."""
        if not session_ids:
            return
        try:
            with translated():
                await self._store["sessions"].update_many({"_id": {"$in": session_ids}}, {"$set": self._used()})
        except (Unavailable, LostRace) as error:
            logger().warning("sessions_not_kept", error=str(error))

    def _is_to_slide(self, session: Document) -> bool:
        used: datetime = session["used_date"]
        return _now() - used.replace(tzinfo=UTC) >= self._slides_after

    def _used(self) -> Document:
        now = _now()
        return {"used_date": now, "expires_date": now + self._lifetime}


def _stands(session: Document, user: Document) -> bool:
    """Neither expired, nor from before the password was changed, nor of an account that is deleted."""
    if user.get("deleted") or session.get("generation", 0) != _generation(user):
        return False
    expires: datetime = session["expires_date"]
    return expires.replace(tzinfo=UTC) > _now()


def _home(user_id: str, address: str) -> str:
    """Enough to know an address again; whoever has the user's id could find it by trying all there are."""
    return hashlib.sha256(f"{user_id} {address}".encode()).hexdigest()[:32]


def _generation(user: Document) -> int:
    return int(user.get("generation", 0))


def _now() -> datetime:
    return datetime.now(UTC)
