"""The client's own settings, one document a user, the same on all devices."""

from __future__ import annotations

import orjson

from shared.errors import Unauthenticated
from shared.journal import Append, Head, Requirement, Written
from shared.journal.entry import happened
from shared.journal.reader import changes_since, head_within
from shared.protocol.settings import (
    GET_SETTINGS,
    UPDATE_SETTINGS,
    FullSettings,
    GetSettings,
    SettingsChanged,
    SettingsDelta,
    UpdateSettings,
)
from shared.protocol.settings import Settings as Own
from shared.scopes import self_scope
from shared.service import Call, Parts, handles
from shared.store import Document, translated
from shared.writes import Insert, Update, Write


class Settings:
    """Kept as text: what a client names its fields is no business of MongoDB's."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(GET_SETTINGS)
    async def get_settings(self, call: Call, params: GetSettings) -> FullSettings | SettingsDelta:
        mine = self_scope(call.user_id)
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, mine)
            changes = None
            if params.since is not None:
                changes = await changes_since(snapshot, mine, params.since, head)
            unchanged = changes is not None and not happened(changes, "settings_changed")
            document = None if unchanged else await snapshot.find_one("settings", {"_id": call.user_id})
        call.holds(mine.name, head.rev)
        if changes is not None:
            return SettingsDelta(rev=head.rev, updated=[_view(document)] if document else [], deleted=[])
        return FullSettings(settings=_view(document).settings, rev=head.rev)

    @handles(UPDATE_SETTINGS)
    async def update_settings(self, call: Call, params: UpdateSettings) -> Own:
        """The same again changes nothing."""
        text = orjson.dumps(params.settings).decode()
        with translated():
            before = await self._store["settings"].find_one({"_id": call.user_id})
            me = await self._store["users"].find_one(_living(call.user_id), projection={"_id": 1})
        if me is None:
            raise Unauthenticated("This account no longer exists.")
        if before is not None and before["text"] == text:
            return _view(before)

        def write(head: Head) -> Written[Own]:
            rev = head.rev + 1
            document = {"_id": call.user_id, "text": text, "rev": rev}
            change: Write = Insert("settings", document)
            if before is not None:
                # Whatever it is by then: the last wins, and many at once share a commit.
                change = Update("settings", {"_id": call.user_id}, {"$set": {"text": text, "rev": rev}})
            return Written(SettingsChanged(settings=params.settings), [change], _view(document), head.last_id)

        still_there = Requirement("users", _living(call.user_id))
        return await self._journal.append(call.origin, Append(self_scope(call.user_id), write, [still_there]))


def _living(user_id: str) -> Document:
    return {"_id": user_id, "deleted": {"$ne": True}}


def _view(document: Document | None) -> Own:
    if document is None:
        return Own(settings={}, rev=0)
    return Own(settings=orjson.loads(document["text"]), rev=document["rev"])
