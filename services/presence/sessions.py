"""Sessions: a login is one, with any number of sockets. Tokens are stored as digests only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.errors import Unauthenticated, Unavailable
from shared.ids import new_id, new_token, token_digest
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

_SLIDE_AFTER = timedelta(hours=1)
_LISTED = 200


class Sessions:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._bus = parts.bus
        self._lifetime = timedelta(days=parts.settings.session_days)
        self._epoch = parts.epoch

    def new(self, user_id: str, device: str | None) -> tuple[Document, str]:
        """A session's document, and the token that is shown once and not kept."""
        token, now = new_token(), _now()
        document = {
            "_id": new_id(),
            "token": token_digest(token),
            "user_id": user_id,
            "device": device,
            "created_date": now,
            "used_date": now,
            "expires_date": now + self._lifetime,
        }
        return document, token

    @handles(IDENTIFY)
    async def identify(self, _call: Call, params: Identify) -> Identity:
        with translated():
            session = await self._store["sessions"].find_one({"token": token_digest(params.token)})
            if session is None or session["expires_date"].replace(tzinfo=UTC) <= _now():
                raise Unauthenticated("The token was refused; log in again.")
            user = await self._store["users"].find_one({"_id": session["user_id"]}, projection=PROFILE)
        if user is None:
            raise Unauthenticated("The token was refused; log in again.")
        await self._slide(session)
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
        with translated():
            found = self._store["sessions"].find({"_id": {"$in": params.session_ids}}, projection={"expires_date": 1})
            standing = {
                session["_id"] async for session in found if session["expires_date"].replace(tzinfo=UTC) > _now()
            }
        return EndedSessions(session_ids=[each for each in params.session_ids if each not in standing])

    async def _end(self, session_id: str) -> None:
        """Its sockets are told at once; a gateway that misses the word finds out when it checks its sessions."""
        with translated():
            await self._store["sessions"].delete_one({"_id": session_id})
        try:
            await self._bus.publish(SESSION_ENDED_SUBJECT, session_id.encode())
        except Unavailable:
            logger().warning("session_end_not_told", ended=session_id)

    async def _slide(self, session: Document) -> None:
        now = _now()
        if now - session["used_date"].replace(tzinfo=UTC) < _SLIDE_AFTER:
            return
        moved = {"used_date": now, "expires_date": now + self._lifetime}
        with translated():
            await self._store["sessions"].update_one({"_id": session["_id"]}, {"$set": moved})


def _now() -> datetime:
    return datetime.now(UTC)
