"""Two users, read together, and the one way in which what they are to each other changes: both sides at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.acquaintance import have_met
from shared.errors import Conflict, NotFound, Unauthenticated
from shared.friendship import friendship, pair_key
from shared.journal import Change
from shared.profiles import PROFILE, profile
from shared.protocol.contract import Event
from shared.protocol.friend import Friend, FriendAdded, FriendChanged, FriendDeleted, FriendState
from shared.scopes import Scope, self_scope
from shared.store import Document

MOST = 1000
MOST_INCOMING = 500
"""Requests that wait for an answer: strangers can't fill a list."""
MOST_BLOCKED_BY = 250
_ASKED = ("incoming", "outgoing")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, and what the other is to them."""

    user: Document
    row: Document | None

    @property
    def state(self) -> FriendState | None:
        state: FriendState | None = self.row["state"] if self.row else None
        return state

    @property
    def scope(self) -> Scope:
        return self_scope(self.user["_id"])


@dataclass(frozen=True, slots=True)
class Pair:
    """I and another, as one change reads them; the change must be of both their `self` scopes."""

    change: Change
    me: Side
    other: Side
    have_met: bool = False
    """Whether they share a server or a direct channel."""

    async def must_fit_mine(self) -> None:
        """Raises Conflict when my list would get longer and is full."""
        if self.me.row is None and len(await self._states(self.me)) >= MOST:
            raise Conflict(f"Your list of friends is full, with {MOST}; remove somebody first.")

    async def must_fit_theirs(self) -> None:
        """Raises Conflict when the other can take no request more."""
        states = await self._states(self.other)
        if len(states) >= MOST or states.count("incoming") >= MOST_INCOMING:
            raise Conflict("They have too many friends or requests already.")

    async def state_of_blocked(self) -> FriendState | None:
        """What the other side becomes when I block it. A full list is not told: what counts is the row of who does."""
        if self.other.state == "blocked":
            return "blocked"
        if self.other.row is None:
            states = await self._states(self.other)
            if len(states) >= MOST or states.count("blocked_by") >= MOST_BLOCKED_BY:
                return None
        return "blocked_by"

    def become(self, mine: FriendState | None, theirs: FriendState | None) -> None:
        """Stages the new states of both sides, with their events, and who blocks in the channel of the two."""
        self._move(self.me, self.other, mine)
        self._move(self.other, self.me, theirs)
        if (mine == "blocked") != (self.me.state == "blocked"):
            my_id, key = self.me.user["_id"], pair_key(self.me.user["_id"], self.other.user["_id"])
            how = "$addToSet" if mine == "blocked" else "$pull"
            self.change.update_all("directs", {"key": key}, {how: {"blocked_by": my_id}})
            # Written even if nothing else of theirs is: a channel that is just being made, with who blocks in it, or
            # the end of an account, may rest on what is changed here.
            both = {"_id": {"$in": [my_id, self.other.user["_id"]]}}
            self.change.update_all("users", both, {"$inc": {"blocks": 1}})

    def as_mine(self, state: FriendState, rev: int) -> Friend:
        return self._shown(self.me, self.other, state, rev)

    async def _states(self, side: Side) -> list[str]:
        rows = await self.change.find("friends", {"user_id": side.user["_id"]}, MOST, projection={"state": 1})
        return [row["state"] for row in rows]

    def _move(self, side: Side, counterpart: Side, state: FriendState | None) -> None:
        key = {"user_id": side.user["_id"], "other_id": counterpart.user["_id"]}
        if state == side.state:
            if side.row is not None:
                # Written all the same: so that two changes of the same pair conflict, whichever sides they move.
                self.change.update("friends", key, {"$inc": {"touched": 1}})
            return
        rev = self.change.rev(side.scope)
        if state is None:
            self.change.delete("friends", key)
        elif side.row is None:
            self.change.insert("friends", {**key, "state": state, "rev": rev})
        else:
            self.change.update("friends", key, {"$set": {"state": state, "rev": rev}})
        self.change.record(side.scope, *self._events(side, counterpart, state, rev))

    def _events(self, side: Side, counterpart: Side, state: FriendState | None, rev: int) -> list[Event]:
        """What one side is told. Who was not in the list comes whole first, also where a block is what happened."""
        other_id: str = counterpart.user["_id"]
        if state is None:
            return [FriendDeleted(user_id=other_id)]
        changed = FriendChanged(user_id=other_id, state=state)
        if side.row is not None:
            return [changed]
        added = FriendAdded(friend=self._shown(side, counterpart, state, rev))
        return [added] if state in _ASKED else [added, changed]

    def _shown(self, side: Side, counterpart: Side, state: FriendState, rev: int) -> Friend:
        is_acquainted = self.have_met or state == "friend"
        user = profile(counterpart.user, side.user["_id"], is_acquainted=is_acquainted)
        return Friend(user=user, state=state, rev=rev)


async def pair_of(change: Change, my_id: str, other_id: str) -> Pair:
    """Raises NotFound when there is no such other, Unauthenticated when there is no such me any more."""
    living = {"_id": {"$in": [my_id, other_id]}, "deleted": {"$ne": True}}
    users = {user["_id"]: user for user in await change.find("users", living, 2, projection=PROFILE)}
    if my_id not in users:
        raise Unauthenticated("This account no longer exists.")
    if other_id not in users:
        raise NotFound("user")
    rows = await friendship(change, my_id, other_id)
    met = await have_met(change, my_id, other_id)
    return Pair(change, Side(users[my_id], rows.mine), Side(users[other_id], rows.theirs), met)


async def standing_pair(change: Change, my_id: str, other_id: str) -> Pair | None:
    """The same for what only ends, whoever still exists; None when they are nothing to each other."""
    rows = await friendship(change, my_id, other_id)
    if rows.mine is None and rows.theirs is None:
        return None
    return Pair(change, Side({"_id": my_id}, rows.mine), Side({"_id": other_id}, rows.theirs))


async def with_users(pair: Pair) -> Pair:
    """A standing pair with what is shown of both, be they deleted or not, and whether they share something else."""
    my_id, other_id = pair.me.user["_id"], pair.other.user["_id"]
    both = {"_id": {"$in": [my_id, other_id]}}
    users = {user["_id"]: user for user in await pair.change.find("users", both, 2, projection=PROFILE)}
    met = await have_met(pair.change, my_id, other_id)
    return replace(
        pair, me=replace(pair.me, user=users[my_id]), other=replace(pair.other, user=users[other_id]), have_met=met
    )
