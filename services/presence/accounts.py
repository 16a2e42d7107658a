"""Accounts: making one and logging in."""

from __future__ import annotations

from services.presence.passwords import Passwords
from services.presence.sessions import Sessions
from shared.errors import Conflict, Unauthenticated
from shared.ids import new_id
from shared.profiles import profile
from shared.protocol.account import LOGIN, REGISTER, LoggedIn, Login, Register
from shared.scopes import user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, translated


class Accounts:
    def __init__(self, parts: Parts, passwords: Passwords, sessions: Sessions) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._passwords = passwords
        self._sessions = sessions

    @handles(REGISTER)
    async def register(self, call: Call, params: Register) -> LoggedIn:
        await self._must_be_free(params.name)
        password = await self._passwords.hash(params.password)
        user_id = new_id()
        scope = user_scope(user_id)
        async with self._journal.change(call.origin, scope) as change:
            if await change.find_one("users", {"name": params.name}, projection={"_id": 1}):
                raise Conflict("That name is taken.")
            user: Document = {
                "_id": user_id,
                "name": params.name,
                "display_name": params.display_name or params.name,
                "image": None,
                "password": password,
                "status": "online",
                "status_text": None,
                "created_date": change.now,
                "rev": change.rev(scope),
            }
            session, token = self._sessions.new(user_id, params.device)
            change.insert("users", user)
            change.insert("sessions", session)
            change.record(scope)
        return LoggedIn(user=profile(user, user_id), token=token)

    @handles(LOGIN)
    async def login(self, _call: Call, params: Login) -> LoggedIn:
        with translated():
            user = await self._store["users"].find_one({"name": params.name})
        matches = await self._passwords.matches(user["password"] if user else None, params.password)
        if user is None or not matches:
            raise Unauthenticated("Wrong name or password.")
        session, token = self._sessions.new(user["_id"], params.device)
        with translated():
            await self._store["sessions"].insert_one(session)
        return LoggedIn(user=profile(user, user["_id"]), token=token)

    async def _must_be_free(self, name: str) -> None:
        """Spares the hash when the name is plainly taken; the transaction decides."""
        with translated():
            taken = await self._store["users"].find_one({"name": name}, projection={"_id": 1})
        if taken:
            raise Conflict("That name is taken.")
