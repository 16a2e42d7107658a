"""Friends, requests for it, and whom one has blocked. Served by presence."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from shared.protocol.account import User
from shared.protocol.contract import Delta, Empty, Entity, Event, Method, Params
from shared.protocol.fields import Id, Nonce, Rev, UserName

FriendState = Literal["friend", "incoming", "outgoing", "blocked", "blocked_by"]


class Friend(Entity):
    """How a user stands to me: `incoming` asked me, `outgoing` I asked, `blocked` by me, `blocked_by` them."""

    user: User
    state: FriendState
    rev: int


class FriendList(Entity):
    """`next_anchor` is null unless the list is larger than one reply may be."""

    rev: int
    full: Literal[True] = True
    friends: list[Friend]
    next_anchor: str | None


class FriendsDelta(Delta[Friend, str]):
    """Those that came or changed, and the users who are none any more."""


class GetFriends(Params):
    since: Rev | None = None
    anchor: Id | None = None


class AddFriend(Params):
    """Give either `user_id` or `name`."""

    user_id: Id | None = None
    name: UserName | None = None
    nonce: Nonce | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> AddFriend:
        if (self.user_id is None) == (self.name is None):
            raise ValueError("give either user_id or name")
        return self


class UpdateFriend(Params):
    user_id: Id
    state: Literal["friend", "blocked"]


class DeleteFriend(Params):
    user_id: Id


class FriendAdded(Event):
    """Someone asked me, or I did; or it comes before a `friend_changed` about somebody who was not in the list."""

    friend: Friend

    def users(self) -> dict[str, int]:
        return {self.friend.user.id: self.friend.user.rev}


class FriendChanged(Event):
    user_id: str
    state: FriendState


class FriendDeleted(Event):
    user_id: str


GET_FRIENDS: Method[GetFriends, FriendList | FriendsDelta] = Method(
    "get_friends", "presence", GetFriends, FriendList, delta=FriendsDelta, reads="self:{me}"
)
ADD_FRIEND = Method("add_friend", "presence", AddFriend, Friend)
UPDATE_FRIEND = Method("update_friend", "presence", UpdateFriend, Friend)
DELETE_FRIEND = Method("delete_friend", "presence", DeleteFriend, Empty)
