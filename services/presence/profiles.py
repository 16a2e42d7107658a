"""Public profiles, and the password of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.presence.guesses import Guesses
from services.presence.passwords import Passwords
from services.presence.sessions import Sessions
from services.presence.status import status_news
from shared.acquaintance import same_circle, still_in
from shared.errors import Forbidden, LostRace, NotFound, Unauthenticated
from shared.friendship import Reader
from shared.images import must_be_uploaded
from shared.journal import Append, Head, Requirement, Written
from shared.journal.reader import read_heads
from shared.member_names import renamed
from shared.profiles import profile, read_profiles
from shared.protocol.account import (
    GET_USER,
    GET_USERS,
    UPDATE_USER,
    FullUser,
    GetUser,
    GetUsers,
    UpdateUser,
    User,
    UserChanged,
    UserDelta,
    UserList,
)
from shared.protocol.contract import Audience
from shared.scopes import self_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, translated
from shared.writes import Update, UpdateAll, Write

Changes = dict[str, Any]


class Profiles:
    def __init__(self, parts: Parts, passwords: Passwords, guesses: Guesses, sessions: Sessions) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._passwords = passwords
        self._guesses = guesses
        self._sessions = sessions

    @handles(GET_USER)
    async def get_user(self, call: Call, params: GetUser) -> FullUser | UserDelta:
        found = await read_profiles(self._store, [params.user_id or call.user_id], call.user_id)
        if not found:
            raise NotFound("user")
        user = found[0]
        call.holds(user_scope(user.id).name, user.rev)
        if params.since and params.since <= user.rev:
            return UserDelta(rev=user.rev, updated=[] if params.since == user.rev else [user], deleted=[])
        return FullUser(**user.model_dump())

    @handles(GET_USERS)
    async def get_users(self, call: Call, params: GetUsers) -> UserList:
        """Those newer than the revision given; of all of them the client hears from now on."""
        mine = self_scope(call.user_id)
        head = (await read_heads(self._store, [mine.name]))[mine.name]
        users = await read_profiles(self._store, params.users, call.user_id)
        for user in users:
            call.holds(user_scope(user.id).name, user.rev)
        return UserList(rev=head.rev, users=[user for user in users if user.rev > params.users[user.id]])

    @handles(UPDATE_USER)
    async def update_user(self, call: Call, params: UpdateUser) -> User:
        with translated():
            before = await self._store["users"].find_one(_living(call.user_id))
        if before is None:
            raise Unauthenticated("This account no longer exists.")
        changes = params.changes
        await must_be_uploaded(self._store, changes.image, "changes.image")
        if changes.password is not None and changes.old_password is not None:
            return await self._with_password(call, before, changes.profile, changes.old_password, changes.password)
        changed = _news(before, changes.profile)
        if not changed:
            return profile(before, call.user_id)
        async with self._store.snapshot() as snapshot:
            told = await _told(snapshot, before, changed)

        def write(head: Head) -> Written[User]:
            after = {**before, **changed, "rev": head.rev + 1}
            writes, mine = _writes(before, after), profile(after, call.user_id)
            return Written(told.event, writes, mine, head.last_id, told.own, audience=told.audience)

        append = Append(user_scope(call.user_id), write, requires=told.requires)
        return await self._journal.append(call.origin, append)

    async def _with_password(self, call: Call, before: Document, wanted: Changes, old: str, new: str) -> User:
        """A new password, and what else is to change with it; ends every session but the one that asks."""
        async with self._guesses.of_own(call.user_id, call.session_id):
            if not await self._passwords.matches(before["password"], old):
                raise Forbidden("The old password is wrong.")
        hashed = await self._passwords.hash(new)
        scope = user_scope(call.user_id)
        async with self._journal.change(call.origin, scope) as change:
            user = await change.find_one("users", _living(call.user_id))
            mine = await change.find_one("sessions", {"_id": call.session_id, "user_id": call.user_id})
            if user is None or mine is None:
                raise Unauthenticated("This session is over.")
            if user["password"] != before["password"]:
                raise LostRace  # it was changed meanwhile: the old one must be judged again
            changed = _news(user, wanted)
            after = {**user, **changed, "password": hashed, "generation": user.get("generation", 0) + 1}
            if changed:
                after["rev"] = change.rev(scope)
                told = await _told(change, user, changed)
                change.record(scope, told.event, own=told.own, audience=told.audience)
            change.writes.extend(_writes(user, after))
            change.update("sessions", {"_id": call.session_id}, {"$set": {"generation": after["generation"]}})
            ended = await self._sessions.delete_all(change, call.user_id, but=call.session_id)
        await self._sessions.tell_ended(ended)
        return profile(after, call.user_id)


@dataclass(frozen=True, slots=True)
class _Told:
    """What an entry says of a change: to all who hold the user, or to fewer; and to the user's own devices besides."""

    event: UserChanged
    own: dict[str, Any] | None = None
    audience: Audience | None = None
    requires: Sequence[Requirement] = ()


async def _told(reader: Reader, before: Document, changed: Changes) -> _Told:
    """Which status one chose is for oneself; acquaintances are told what they see of it."""
    seen = {name: value for name, value in changed.items() if name != "status"}
    event = UserChanged(user_id=before["_id"], changes=seen, was=before["rev"])
    if "status" not in changed:
        return _Told(event)
    own = {"user_id": before["_id"], "params": {"changes": {"status": changed["status"]}}}
    news = await status_news(reader, before, {**before, **changed})
    if seen:
        return _Told(event.judged_by(**news), own, requires=still_in(news))
    audience = Audience.ACQUAINTANCES if news else Audience.OWN
    return _Told(event.judged_by(**news), own, audience, still_in(news))


def _living(user_id: str) -> Document:
    return {"_id": user_id, "deleted": {"$ne": True}}


def _news(before: Document, wanted: Changes) -> Changes:
    return {name: value for name, value in wanted.items() if before[name] != value}


def _writes(before: Document, after: Document) -> list[Write]:
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    # Coming and going may move no revision, and decides what others see of a status.
    same = {"_id": before["_id"], "rev": before["rev"], "present.0": {"$exists": bool(before.get("present"))}}
    if "status" in changed:
        same |= same_circle(before)
    writes: list[Write] = [Update("users", same, {"$set": changed})]
    if "display_name" in changed:
        writes.append(shown_name(after))
    return writes


def shown_name(user: Document) -> UpdateAll:
    """The list of members is ordered by shown names and searched by all of them."""
    return UpdateAll("members", {"user_id": user["_id"]}, renamed(user["name"], user["display_name"]))
