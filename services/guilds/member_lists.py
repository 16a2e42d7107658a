"""The list of a server's members, page by page in the order of their shown names, and filtered.

A page costs what is on it, not what the server has: it is one walk along an index, begun where the last page ended.
What no index answers is judged member by member, as far as a page's budget reaches; then the page is short, and its
anchor goes on from there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.guilds import views
from services.guilds.channels import find_channel
from services.guilds.standing import Standing, rules_in, standing
from shared.errors import InvalidParams, NotFound
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_within
from shared.member_names import LONGEST
from shared.permissions import VIEW_CHANNEL, channel_rules
from shared.profiles import read_profiles
from shared.protocol.account import User
from shared.protocol.member import (
    GET_SERVER_MEMBERS,
    GetServerMembers,
    Member,
    MemberFilter,
    Members,
    MembersDelta,
)
from shared.rights import channel_overwrites, member_rights
from shared.scopes import server_scope, user_scope
from shared.service import Call, Parts, handles
from shared.sight import sight_changed
from shared.store import Document, Filter, Snapshot

BUDGET = 2000
"""Members that one page may look at."""

_AT_A_TIME = 200
_REPLY_BYTES = 480 << 10
_MOST_FRIENDS = 1000
_ORDER = [("name_key", 1), ("user_id", 1)]
_BY_USER = [("server_id", 1), ("user_id", 1)]

Place = tuple[str, str]
"""Where a member stands in the list: by shown name, then by id."""

Test = Callable[[Document, User], bool]


@dataclass(frozen=True, slots=True)
class _Walk:
    """What an index answers, and what is left to be judged of each member."""

    query: Filter
    tests: Sequence[Test]

    @property
    def index(self) -> list[tuple[str, int]]:
        """Named, lest a plan be chosen that was good for another server."""
        if "user_id" in self.query:
            return _BY_USER
        return [(field, 1) for field in ("server_id", "prefixes", "roles") if field in self.query] + _ORDER


@dataclass(slots=True)
class _Page:
    """Its members fit into one reply, beside whatever else is in that."""

    members: list[Member]
    next: Place | None
    size: int = 0

    def takes(self, member: Member) -> bool:
        """Takes one more, unless it is full; the first always fits."""
        self.size += len(member.model_dump_json().encode()) + 1
        if self.members and self.size > _REPLY_BYTES:
            return False
        self.members.append(member)
        return True


class MemberLists:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    @handles(GET_SERVER_MEMBERS)
    async def get_server_members(self, call: Call, params: GetServerMembers) -> Members | MembersDelta:
        scope = server_scope(params.server_id)
        after = _read_anchor(params.anchor)
        async with self._store.snapshot() as snapshot:
            here = await standing(snapshot, params.server_id, call.user_id)
            head = await head_within(snapshot, scope)
            call.holds(scope.name, head.rev)
            changes = None
            if params.since and params.filter is None:
                changes = await changes_since(snapshot, scope, params.since, head)
            if changes is not None and not sight_changed(changes, call.user_id, here.role_ids):
                delta = await self._delta(call, snapshot, here, changes, head.rev)
                if delta is not None:
                    return delta
            walk = await _walk(snapshot, here, params.filter or MemberFilter())
            page = await self._page(call, snapshot, here, walk, after, params.amount)
        _hold(call, page.members)
        return Members(
            rev=head.rev,
            members=page.members,
            next_anchor=_anchor(page.next) if page.next else None,
            total=here.server["num_members"],
        )

    async def _delta(
        self, call: Call, snapshot: Snapshot, here: Standing, changes: list[Entry], rev: int
    ) -> MembersDelta | None:
        """None where all that changed would be too much for one reply."""
        touched = {params["member"]["user"]["id"] for params in happened(changes, "member_added")}
        touched |= {params["user_id"] for params in happened(changes, "member_changed", "member_deleted")}
        query: Filter = {"server_id": here.server["_id"], "user_id": {"$in": sorted(touched)}}
        found = await snapshot.find("members", query, len(touched)) if touched else []
        users = await self._users(call, found)
        delta = _Page([], None)
        shown = [_view(here, member, users[member["user_id"]]) for member in found if member["user_id"] in users]
        if not all(delta.takes(member) for member in shown):
            return None
        _hold(call, shown)
        return MembersDelta(rev=rev, updated=shown, deleted=sorted(touched - {member.user.id for member in shown}))

    async def _page(
        self, call: Call, snapshot: Snapshot, here: Standing, walk: _Walk, after: Place | None, amount: int
    ) -> _Page:
        """The next members that pass, as many as are asked for, or fit, or the budget finds."""
        page = _Page([], after)
        step = _AT_A_TIME if walk.tests else amount + 1
        looked_at = 0
        while looked_at < BUDGET:
            query = {**walk.query, **_beyond(page.next)}
            found = await snapshot.find("members", query, step, sort=_ORDER, hint=walk.index)
            users = await self._users(call, found)
            looked_at += len(found)
            for member in found:
                if len(page.members) == amount:
                    return page
                user = users.get(member["user_id"])
                passes = user is not None and all(test(member, user) for test in walk.tests)
                if user is not None and passes and not page.takes(_view(here, member, user)):
                    return page
                page.next = member["name_key"], member["user_id"]
            if len(found) < step:
                page.next = None
                return page
        return page

    async def _users(self, call: Call, members: list[Document]) -> dict[str, User]:
        ids = [member["user_id"] for member in members]
        found = await read_profiles(self._store, ids, call.user_id, together=ids)
        return {user.id: user for user in found}


def _view(here: Standing, member: Document, user: User) -> Member:
    return views.member_view(member, user, here.held_by(member))


def _hold(call: Call, members: list[Member]) -> None:
    """The client hears of the users from now on."""
    for member in members:
        call.holds(user_scope(member.user.id).name, member.user.rev)


async def _walk(snapshot: Snapshot, here: Standing, wanted: MemberFilter) -> _Walk:
    """Raises NotFound for a role that isn't there, and for a channel that the asker doesn't see."""
    query: Filter = {"server_id": here.server["_id"]}
    tests: list[Test] = []
    if wanted.name is not None:
        name = wanted.name.lower()
        query["prefixes"] = name[:LONGEST]
        if len(name) > LONGEST:
            tests.append(lambda member, user: _begins(name, member, user))
    if wanted.role_id is not None and wanted.role_id != here.server["everyone_id"]:
        if here.role(wanted.role_id) is None:
            raise NotFound("role")
        query["roles"] = wanted.role_id
    if wanted.channel_id is not None:
        tests.append(await _seeing(snapshot, here, wanted.channel_id))
    if wanted.online is not None:
        tests.append(lambda _, user: (user.status not in {"offline", "invisible"}) is wanted.online)
    query |= await _named(snapshot, here.member["user_id"], wanted, tests)
    if "roles" in query and "prefixes" in query:
        role_id = query.pop("roles")
        tests.append(lambda member, _: role_id in member["roles"])
    return _Walk(query, tests)


async def _named(snapshot: Snapshot, user_id: str, wanted: MemberFilter, tests: list[Test]) -> Filter:
    """The users who are asked for by their ids, or as friends, as a query; who are no friends are a test."""
    ids: set[str] | None = None if wanted.user_ids is None else set(wanted.user_ids)
    if wanted.friends is not None:
        mine = {"user_id": user_id, "state": "friend"}
        rows: list[dict[str, Any]] = await snapshot.find("friends", mine, _MOST_FRIENDS, projection={"other_id": 1})
        friends = {row["other_id"] for row in rows}
        if wanted.friends:
            ids = friends if ids is None else ids & friends
        else:
            tests.append(lambda member, _: member["user_id"] not in friends)
    return {} if ids is None else {"user_id": {"$in": sorted(ids)}}


async def _seeing(snapshot: Snapshot, here: Standing, channel_id: str) -> Test:
    """Who may see the channel."""
    channel = await find_channel(snapshot, channel_id)
    if channel["server_id"] != here.server["_id"]:
        raise NotFound("channel")
    rules_in(here, channel)
    overwrites = channel_overwrites(channel)
    return lambda member, _: VIEW_CHANNEL in channel_rules(here.rights, member_rights(member), overwrites)


def _begins(name: str, member: Document, user: User) -> bool:
    names = (member["nick"] or "", user.display_name, user.name)
    return any(each.lower().startswith(name) for each in names)


def _beyond(place: Place | None) -> Filter:
    if place is None:
        return {}
    name_key, user_id = place
    return {"$or": [{"name_key": {"$gt": name_key}}, {"name_key": name_key, "user_id": {"$gt": user_id}}]}


def _anchor(place: Place) -> str:
    """Opaque to clients: the place of the last member looked at, who need not be one any more."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode()


def _read_anchor(anchor: str | None) -> Place | None:
    if anchor is None:
        return None
    try:
        name_key, user_id = orjson.loads(base64.urlsafe_b64decode(anchor))
    except (ValueError, TypeError):
        raise InvalidParams.of("anchor", "is none that get_server_members gave") from None
    if not isinstance(name_key, str) or not isinstance(user_id, str):
        raise InvalidParams.of("anchor", "is none that get_server_members gave")
    return name_key, user_id
