"""Accounts: making one, logging in, and deleting it."""

from __future__ import annotations

from services.presence.friends import PART_FROM_ALL
from services.presence.guesses import Guesses
from services.presence.passwords import Passwords
from services.presence.profiles import shown_name
from services.presence.sessions import Sessions
from shared.cascade import cascade
from shared.errors import Conflict, Forbidden, LostRace, Unauthenticated
from shared.ids import new_id
from shared.journal import Change
from shared.profiles import profile, shown_status
from shared.protocol.account import (
    DELETE_USER,
    LOGIN,
    REGISTER,
    DeleteUser,
    LoggedIn,
    Login,
    Register,
    UserChanged,
)
from shared.protocol.contract import Empty
from shared.scopes import self_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, translated


class Accounts:
    def __init__(self, parts: Parts, passwords: Passwords, guesses: Guesses, sessions: Sessions) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._passwords = passwords
        self._guesses = guesses
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
                "present": [],
                "status_text": None,
                "created_date": change.now,
                "rev": change.rev(scope),
            }
            session, token = self._sessions.new(user, params.device, call.address)
            change.insert("users", user)
            change.insert("sessions", session)
            change.record(scope)
        return LoggedIn(user=profile(user, user_id), token=token)

    @handles(LOGIN)
    async def login(self, call: Call, params: Login) -> LoggedIn:
        with translated():
            user = await self._store["users"].find_one({"name": params.name})

        async def is_home() -> bool:
            return user is not None and await self._sessions.is_one_from(user["_id"], call.address)

        async with self._guesses.one(params.name, call.address, is_home):
            matches = await self._passwords.matches(user["password"] if user else None, params.password)
            if user is None or not matches:
                raise Unauthenticated("Wrong name or password.")
        session, token = self._sessions.new(user, params.device, call.address)
        with translated():
            await self._store["sessions"].insert_one(session)
        return LoggedIn(user=profile(user, user["_id"]), token=token)

    @handles(DELETE_USER)
    async def delete_user(self, call: Call, params: DeleteUser) -> Empty:
        """Leaves a tombstone at once: what hangs off the account goes after it, in cascades."""
        with translated():
            before = await self._store["users"].find_one({"_id": call.user_id, "deleted": {"$ne": True}})
        if before is None:
            raise Unauthenticated("This account no longer exists.")
        async with self._guesses.of_own(call.user_id, call.session_id):
            if not await self._passwords.matches(before["password"], params.password):
                raise Forbidden("The password is wrong.")
        scope, mine = user_scope(call.user_id), self_scope(call.user_id)
        async with self._journal.change(call.origin, scope, mine) as change:
            user = await change.find_one("users", {"_id": call.user_id})
            if user is None or user["password"] != before["password"]:
                raise LostRace
            await _must_own_nothing(change, call.user_id)
            tombstone = _tombstone(call.user_id)
            seen = {name: value for name, value in tombstone.items() if user[name] != value}
            if shown_status(user) == "offline":
                del seen["status"]
            change.record(scope, UserChanged(user_id=call.user_id, changes=seen, was=user["rev"]))
            # Whatever would begin something new with this user is a change of their self: it conflicts with this one.
            change.record(mine)
            gone = {**tombstone, "deleted": True, "password": None, "rev": change.rev(scope)}
            change.update("users", {"_id": call.user_id}, {"$set": gone})
            change.writes.append(shown_name({"_id": call.user_id, **tombstone}))
            change.delete("settings", {"_id": call.user_id})
            change.insert("cascades", cascade("presence", PART_FROM_ALL, user_id=call.user_id))
            change.insert("cascades", cascade("guilds", "leave_everything", user_id=call.user_id))
            ended = await self._sessions.delete_all(change, call.user_id)
        await self._sessions.tell_ended(ended)
        return Empty()

    async def _must_be_free(self, name: str) -> None:
        """Spares the hash when the name is plainly taken; the transaction decides."""
        with translated():
            taken = await self._store["users"].find_one({"name": name}, projection={"_id": 1})
        if taken:
            raise Conflict("That name is taken.")


async def _must_own_nothing(change: Change, user_id: str) -> None:
    if await change.find_one("servers", {"owner_id": user_id}, projection={"_id": 1}):
        raise Conflict("You own a server: hand it over or delete it first.")


def _tombstone(user_id: str) -> Document:
    """What others see from now on. No name that can be registered has a hyphen."""
    return {
        "name": f"deleted-{user_id}",
        "display_name": "Deleted user",
        "image": None,
        "status": "offline",
        "status_text": None,
    }
