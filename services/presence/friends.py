"""Friends: asking, accepting, blocking and ending it. What the two sides are to each other is one pair of states."""

from __future__ import annotations

from services.presence.appearing import seen_anew
from services.presence.pairs import MOST, Pair, pair_of, standing_pair, with_users
from shared.cascade import Task, works_off
from shared.errors import Conflict, Forbidden, NotFound
from shared.journal.entry import Entry, happened
from shared.journal.reader import changes_since, head_within
from shared.profiles import read_profiles
from shared.protocol.contract import Empty
from shared.protocol.friend import (
    ADD_FRIEND,
    DELETE_FRIEND,
    GET_FRIENDS,
    UPDATE_FRIEND,
    AddFriend,
    DeleteFriend,
    Friend,
    FriendList,
    FriendsDelta,
    FriendState,
    GetFriends,
    UpdateFriend,
)
from shared.scopes import Scope, self_scope, user_scope
from shared.service import Call, Parts, handles
from shared.store import Document, Filter, Snapshot, translated

PART_FROM_ALL = "part_from_all"
_LARGEST_LIST = 480 << 10
_PARTED_AT_ONCE = 20


class Friends:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._journal = parts.journal

    @handles(GET_FRIENDS)
    async def get_friends(self, call: Call, params: GetFriends) -> FriendList | FriendsDelta:
        mine = self_scope(call.user_id)
        query: Filter = {"user_id": call.user_id, "other_id": {"$gt": params.anchor or ""}}
        async with self._store.snapshot() as snapshot:
            head = await head_within(snapshot, mine)
            call.holds(mine.name, head.rev)
            if params.since is not None:
                changes = await changes_since(snapshot, mine, params.since, head)
                if changes is not None:
                    return await self._delta(call, snapshot, changes, head.rev)
            rows = await snapshot.find("friends", query, MOST, sort=[("other_id", 1)])
        friends = await self._views(call, rows)
        next_anchor = friends[-1].user.id if len(friends) < len(rows) else None
        return FriendList(rev=head.rev, friends=friends, next_anchor=next_anchor)

    @handles(ADD_FRIEND)
    async def add_friend(self, call: Call, params: AddFriend) -> Friend:
        """Asks; or, where the other has asked already, accepts."""
        other_id = params.user_id or await self._named(params.name or "")
        _must_differ(call.user_id, other_id)
        async with self._journal.change(call.origin, *_scopes_of(call.user_id, other_id)) as change:
            pair = await pair_of(change, call.user_id, other_id)
            _must_not_be_blocked(pair)
            match pair.me.state:
                case "friend":
                    raise Conflict("You are friends already.")
                case "outgoing":
                    raise Conflict("You have asked them already.")
                case "incoming":
                    return change.returns(await self._become(call, pair, "friend", "friend"))
                case _:
                    await pair.must_fit_mine()
                    await pair.must_fit_theirs()
                    return change.returns(await self._become(call, pair, "outgoing", "incoming"))

    @handles(UPDATE_FRIEND)
    async def update_friend(self, call: Call, params: UpdateFriend) -> Friend:
        other_id = params.user_id
        _must_differ(call.user_id, other_id)
        async with self._journal.change(call.origin, *_scopes_of(call.user_id, other_id)) as change:
            pair = await pair_of(change, call.user_id, other_id)
            if pair.me.row is not None and pair.me.state == params.state:
                return _held(call, pair, params.state, pair.me.row["rev"])
            if params.state == "blocked":
                await pair.must_fit_mine()
                return await self._become(call, pair, "blocked", await pair.state_of_blocked())
            if pair.me.state is None:
                raise NotFound("friend")
            _must_not_be_blocked(pair)
            if pair.me.state == "outgoing":
                raise Conflict("It is theirs to accept.")
            return await self._become(call, pair, "friend", "friend")

    @handles(DELETE_FRIEND)
    async def delete_friend(self, call: Call, params: DeleteFriend) -> Empty:
        """Declines, cancels, unfriends or unblocks. What others did to me is not mine to end: nothing happens."""
        async with self._journal.change(call.origin, *_scopes_of(call.user_id, params.user_id)) as change:
            pair = await standing_pair(change, call.user_id, params.user_id)
            if pair is None or pair.me.state in {None, "blocked_by"}:
                return Empty()
            if pair.me.state == "friend":
                pair = await seen_anew(await with_users(pair), friends=False)
            if pair.other.state == "blocked":
                pair.become("blocked_by", "blocked")
            else:
                pair.become(None, None)
        return Empty()

    @works_off(PART_FROM_ALL)
    async def part_from_all(self, task: Task) -> bool:
        """Ends what a deleted account and others were to each other; nobody can begin anything new with it."""
        user_id = task.about["user_id"]
        sides: Filter = {"$or": [{"user_id": user_id}, {"other_id": user_id}]}
        with translated():
            rows = await self._store["friends"].find(sides).limit(2 * _PARTED_AT_ONCE).to_list(2 * _PARTED_AT_ONCE)
        for other_id in sorted({*(row["user_id"] for row in rows), *(row["other_id"] for row in rows)} - {user_id}):
            async with self._journal.change(task.origin, self_scope(user_id), self_scope(other_id)) as change:
                if (pair := await standing_pair(change, user_id, other_id)) is not None:
                    pair.become(None, None)
        return not rows

    async def _become(self, call: Call, pair: Pair, mine: FriendState, theirs: FriendState | None) -> Friend:
        if (mine == "friend") != (pair.me.state == "friend"):
            pair = await seen_anew(pair, friends=mine == "friend")
        pair.become(mine, theirs)
        return _held(call, pair, mine, pair.change.rev(pair.me.scope))

    async def _named(self, name: str) -> str:
        with translated():
            user = await self._store["users"].find_one({"name": name}, projection={"_id": 1})
        if user is None:
            raise NotFound("user")
        return str(user["_id"])

    async def _delta(self, call: Call, snapshot: Snapshot, changes: list[Entry], rev: int) -> FriendsDelta:
        touched = {params["friend"]["user"]["id"] for params in happened(changes, "friend_added")}
        touched |= {params["user_id"] for params in happened(changes, "friend_changed", "friend_deleted")}
        query: Filter = {"user_id": call.user_id, "other_id": {"$in": sorted(touched)}}
        rows = await snapshot.find("friends", query, len(touched)) if touched else []
        updated = await self._views(call, rows)
        return FriendsDelta(rev=rev, updated=updated, deleted=sorted(touched - {each.user.id for each in updated}))

    async def _views(self, call: Call, rows: list[Document]) -> list[Friend]:
        """The first of these, as many as one reply can hold; the connection hears of these users from then on."""
        profiles = await read_profiles(self._store, (row["other_id"] for row in rows), call.user_id)
        users = {user.id: user for user in profiles}
        friends: list[Friend] = []
        size = 0
        for row in rows:
            friend = Friend(user=users[row["other_id"]], state=row["state"], rev=row["rev"])
            size += len(friend.model_dump_json().encode())
            if size > _LARGEST_LIST:
                break
            friends.append(friend)
            call.holds(user_scope(friend.user.id).name, friend.user.rev)
        return friends


def _scopes_of(my_id: str, other_id: str) -> list[Scope]:
    """Their `user` scopes move where they come to see each other's status, or no longer see it."""
    return [scope for user_id in (my_id, other_id) for scope in (self_scope(user_id), user_scope(user_id))]


def _must_differ(my_id: str, other_id: str) -> None:
    if my_id == other_id:
        raise Conflict("That is yourself.")


def _must_not_be_blocked(pair: Pair) -> None:
    """One's own block comes first: what the other did is told to who could do something about it last."""
    if pair.me.state == "blocked":
        raise Conflict("You have blocked them; unblock them first.")
    if pair.other.state == "blocked":
        raise Forbidden("They have blocked you.")


def _held(call: Call, pair: Pair, state: FriendState, rev: int) -> Friend:
    """The reply has the user whole: the connection hears of them from then on."""
    call.holds(user_scope(pair.other.user["_id"]).name, pair.other.user["rev"])
    return pair.as_mine(state, rev)
