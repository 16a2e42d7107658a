"""Public profiles."""

from __future__ import annotations

from shared.errors import NotFound
from shared.profiles import read_profiles
from shared.protocol.account import GET_USER, FullUser, GetUser
from shared.scopes import user_scope
from shared.service import Call, Parts, handles


class Profiles:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @handles(GET_USER)
    async def get_user(self, call: Call, params: GetUser) -> FullUser:
        found = await read_profiles(self._store, [params.user_id or call.user_id], call.user_id)
        if not found:
            raise NotFound("user")
        user = found[0]
        call.holds(user_scope(user.id).name, user.rev)
        return FullUser(**user.model_dump())
