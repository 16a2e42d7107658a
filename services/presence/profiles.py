"""Public profiles."""

from __future__ import annotations

from typing import Any

from shared.errors import NotFound
from shared.journal import Append, Head, Written
from shared.journal.reader import read_heads
from shared.profiles import PROFILE, profile, read_profiles
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
from shared.scopes import self_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Update, UpdateAll, Write, translated


class Profiles:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

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
            before = await self._store["users"].find_one({"_id": call.user_id}, projection=PROFILE)
        if before is None:
            raise NotFound("user")
        wanted = params.changes.model_dump(include=params.changes.model_fields_set)
        changed: dict[str, Any] = {name: value for name, value in wanted.items() if before[name] != value}
        if not changed:
            return profile(before, call.user_id)

        def write(head: Head) -> Written[User]:
            rev = head.rev + 1
            unchanged = {"_id": call.user_id, "rev": before["rev"]}
            writes: list[Write] = [Update("users", unchanged, {"$set": {**changed, "rev": rev}})]
            if "display_name" in changed:
                # The list of members is ordered by shown names; where there is a nick, that is shown.
                key = changed["display_name"].lower()
                writes.append(
                    UpdateAll("members", {"user_id": call.user_id, "nick": None}, {"$set": {"name_key": key}})
                )
            event = UserChanged(user_id=call.user_id, changes=changed, was=before["rev"])
            return Written(event, writes, profile({**before, **changed, "rev": rev}, call.user_id), head.last_id)

        return await self._journal.append(call.origin, Append(user_scope(call.user_id), write))
