"""One's own in the client's model: friends, settings, and the users that came whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.client import Event
from tests.view import Entity, as_friend


class Own:
    """`begin` is told from where a scope is heard, `violate` what breaks a rule."""

    def __init__(self, begin: Callable[[str, int], None], violate: Callable[[str], None]) -> None:
        self._begin = begin
        self._violate = violate
        self._read_at = {"friends": 0, "settings": 0}
        self.friends: dict[str, Entity] | None = None
        self.settings: Entity | None = None
        self.users: dict[str, Entity] = {}

    def snapshot(self) -> dict[str, dict[str, Any]]:
        friends = self.friends or {}
        users = {known: self.users[known] for known in friends}
        return {"friends": dict(friends), "users": users, "settings": dict(self.settings or {})}

    def lacks(self) -> list[tuple[str, Entity]]:
        lists = (("get_friends", self.friends), ("get_settings", self.settings))
        return [(method, {}) for method, known in lists if known is None]

    # Users.

    def hear_users(self, value: Any) -> None:
        """From each whole user on, wherever it stands, that user's events are told."""
        if isinstance(value, list):
            for each in value:
                self.hear_users(each)
        elif isinstance(value, dict):
            if "display_name" in value and "rev" in value:
                self._hear_user({name: each for name, each in value.items() if name != "full"})
            for each in value.values():
                self.hear_users(each)

    def _hear_user(self, user: Entity) -> None:
        self._begin(f"user:{user['id']}", user["rev"])
        mine = self.users.get(user["id"])
        if mine is None or user["rev"] >= mine["rev"]:
            self.users[user["id"]] = user

    def user_changed(self, event: Event) -> None:
        params = event.params
        mine = self.users.get(params["user_id"])
        if mine is None or mine["rev"] >= event.rev:
            return
        if mine["rev"] != params["was"]:
            self._violate(f"user {mine['id']} is stale: at {mine['rev']}, changed from {params['was']}")
        mine.update(params["changes"], rev=event.rev)

    # Friends and settings. A reply may be newer than events that come after it.

    def friend_added(self, event: Event) -> None:
        friend: Entity = event.params["friend"]
        if friend["rev"] != event.rev:
            self._violate(f"friend_added at {event.rev} carries a friend of rev {friend['rev']}")
        if self.friends is not None and event.rev > self._read_at["friends"]:
            self.friends[friend["user"]["id"]] = as_friend(friend)

    def friend_changed(self, event: Event) -> None:
        if self.friends is None or event.rev <= self._read_at["friends"]:
            return
        mine = self.friends.get(event.params["user_id"])
        if mine is None:
            self._violate(f"friend_changed of {event.params['user_id']}, who is nothing to me")
        elif mine["rev"] <= event.rev:
            mine.update(state=event.params["state"], rev=event.rev)

    def friend_deleted(self, event: Event) -> None:
        if self.friends is None or event.rev <= self._read_at["friends"]:
            return
        if self.friends.pop(event.params["user_id"], None) is None:
            self._violate(f"friend_deleted of {event.params['user_id']}, who is nothing to me")

    def settings_changed(self, event: Event) -> None:
        if self.settings is not None and event.rev > self._read_at["settings"]:
            self.settings = event.params["settings"]

    def read_friends(self, result: Entity) -> None:
        if result["full"]:
            self.friends = {}
        elif self.friends is None:
            return
        for user_id in result.get("deleted", ()):
            self.friends.pop(user_id, None)
        for friend in result["friends"] if result["full"] else result["updated"]:
            self.friends[friend["user"]["id"]] = as_friend(friend)
        self._read_at["friends"] = result["rev"]

    def read_settings(self, result: Entity) -> None:
        for settings in [result] if result["full"] else result["updated"]:
            self.settings = settings["settings"]
        self._read_at["settings"] = result["rev"]
