"""Who of a server's local members sees what, kept current by the server's own entries. No I/O.

It begins with one snapshot and is moved on entry by entry, in order. What a change of roles, overwrites or owner does
to anybody's sight is found by comparing before and after, whatever caused it. Unknown is invisible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shared.journal.entry import Entry
from shared.permissions import (
    MANAGE_CHANNELS,
    VIEW_CHANNEL,
    MemberRights,
    Overwrites,
    ServerRights,
    channel_rules,
    roles_with_access,
    server_rules,
)
from shared.protocol.internal import ServerView
from shared.rights import channel_overwrites

Document = dict[str, Any]


class Seen(NamedTuple):
    """What a member sees of a server: ids of channels and of categories."""

    channels: frozenset[str]
    categories: frozenset[str]


BLIND = Seen(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Step:
    """What an entry did to one member's sight."""

    before: Seen
    after: Seen


@dataclass(slots=True)
class _Local:
    """A member with connections here. Until the server's feed has come to `since`, its roles are not in force."""

    roles: frozenset[str] | None
    since: int


class ServerSight:
    """`rev` is the revision of the server's scope that it shows; `steps` what the last entry did, by user."""

    def __init__(self, server_id: str, view: ServerView) -> None:
        self.rev = view.rev
        self.steps: dict[str, Step] = {}
        self._rights = ServerRights(
            server_id,
            view.owner_id,
            view.everyone_id,
            view.rev,
            {role_id: frozenset(rules) for role_id, rules in view.roles.items()},
        )
        self._channels: dict[str, Document] = {}
        self._overwrites: dict[str, Overwrites] = {}
        self._categories: dict[str, Document] = {each.id: each.model_dump(mode="json") for each in view.categories}
        self._members: dict[str, _Local] = {}
        self._by_roles: dict[tuple[frozenset[str], frozenset[str]], Seen] = {}
        self._named_roles: frozenset[str] | None = None
        for each in view.channels:
            self._put_channel(each.channel.model_dump(mode="json"))

    # Members.

    def knows(self, user_id: str) -> bool:
        return user_id in self._members

    def admit(self, user_id: str, roles: Iterable[str], rev: int) -> None:
        """A member of whom it is known which roles they have as of `rev`, which is not older than this.

        The oldest that is known counts: from there on the server's entries keep it current.
        """
        known = self._members.get(user_id)
        if known is None or rev < known.since:
            self._members[user_id] = _Local(frozenset(roles), rev)

    def dismiss(self, user_id: str) -> None:
        self._members.pop(user_id, None)

    def seen_by(self, user_id: str) -> Seen:
        member = self._members.get(user_id)
        if member is None or member.roles is None or member.since > self.rev:
            return BLIND
        rights = MemberRights(user_id, member.roles)
        # Most roles neither give a rule nor stand in an overwrite: who differs in such alone sees the same.
        key = (server_rules(self._rights, rights), member.roles & self._named)
        if key not in self._by_roles:
            self._by_roles[key] = self._look(rights)
        return self._by_roles[key]

    @property
    def _named(self) -> frozenset[str]:
        """The roles that stand in any overwrite."""
        if self._named_roles is None:
            self._named_roles = frozenset().union(*self._overwrites.values())
        return self._named_roles

    def known_from(self, user_id: str) -> int:
        """The revision from which on it is known what an admitted user sees."""
        return self._members[user_id].since

    def is_known_of(self, user_id: str) -> bool:
        """Whether it is known by now what this user sees."""
        return self.knows(user_id) and self.known_from(user_id) <= self.rev

    def roles_of(self, user_id: str) -> frozenset[str]:
        """The roles an admitted user has, `everyone` among them."""
        return (self._members[user_id].roles or frozenset()) | {self._rights.everyone_id}

    def known_before(self, user_id: str, entries: Sequence[Entry]) -> Seen:
        """What this user saw before the server's last entries, if none of them changed what their rights are."""
        events = [event for entry in entries for event in entry.events]
        now = self.seen_by(user_id)
        home = {each: self._channels[each]["category_id"] for each in now.channels}
        member = MemberRights(user_id, self._members[user_id].roles or frozenset())
        for event in reversed(events):
            params, facts = event["params"], event.get("facts", {})
            match event["name"]:
                case "channel_added":
                    home.pop(params["channel"]["id"], None)
                case "channel_updated" if params["channel_id"] in home and "category_id" in facts:
                    home[params["channel_id"]] = facts["category_id"]
                case "channel_deleted" if VIEW_CHANNEL in channel_rules(
                    self._rights, member, channel_overwrites(facts)
                ):
                    home[params["channel_id"]] = facts["category_id"]
        made = {event["params"]["category"]["id"] for event in events if event["name"] == "category_added"}
        gone = {event["params"]["category_id"] for event in events if event["name"] == "category_deleted"}
        standing = (self._categories.keys() | gone) - made
        if MANAGE_CHANNELS not in server_rules(self._rights, member):
            standing &= {each for each in home.values() if each is not None}
        return Seen(frozenset(home), frozenset(standing))

    def has_lost(self, user_id: str) -> bool:
        """Whether the user was a member and is none any more."""
        member = self._members.get(user_id)
        return member is not None and member.roles is None

    # What it shows.

    def channel(self, channel_id: str) -> Document:
        """The channel as `get_server_channel` shows it, all but its last message's id."""
        access = roles_with_access(self._rights, self._overwrites[channel_id])
        return {**self._channels[channel_id], "roles_with_access": access}

    def category(self, category_id: str) -> Document:
        return self._categories[category_id]

    # Entries.

    def apply(self, entry: Entry) -> None:
        """Moves on by the server's next entry; `steps` then tells whose sight it changed, and how."""
        matters = self._matters(entry)
        known = [user_id for user_id in self._members if self.is_known_of(user_id)] if matters else []
        before = {user_id: self.seen_by(user_id) for user_id in known}
        comers_and_goers = {user_id for event in entry.events if (user_id := _comes_or_goes(event))}
        for event in entry.events:
            self._apply(event, entry.rev)
        self.rev = entry.rev
        if matters:
            self._by_roles.clear()
            self._named_roles = None
        self.steps = {
            user_id: Step(seen, after)
            for user_id, seen in before.items()
            if user_id not in comers_and_goers and (after := self.seen_by(user_id)) != seen
        }

    def _matters(self, entry: Entry) -> bool:
        """Whether it may change anybody's sight; most entries do not."""
        return any(self._decides(event["name"], event["params"]) for event in entry.events)

    def _decides(self, name: str, params: Document) -> bool:
        match name:
            case "channel_added" | "channel_deleted" | "category_added" | "category_deleted" | "role_deleted":
                return True
            case "channel_updated" | "role_changed" | "server_updated":
                return not _DECISIVE.isdisjoint(params["changes"])
            case "member_changed":
                return "roles" in params["changes"] and params["user_id"] in self._members
            case _:
                return False

    def _apply(self, event: Document, rev: int) -> None:
        if (apply := _APPLIED.get(event["name"])) is not None:
            apply(self, event["params"], rev)

    def _server_updated(self, params: Document, _rev: int) -> None:
        if owner_id := params["changes"].get("owner_id"):
            self._rights = replace(self._rights, owner_id=owner_id)

    def _set_role(self, role_id: str, rules: Iterable[str]) -> None:
        self._rights = replace(self._rights, roles={**self._rights.roles, role_id: frozenset(rules)})

    def _role_added(self, params: Document, _rev: int) -> None:
        self._set_role(params["role"]["id"], params["role"]["rules"])

    def _role_changed(self, params: Document, _rev: int) -> None:
        if "rules" in params["changes"]:
            self._set_role(params["role_id"], params["changes"]["rules"])

    def _role_deleted(self, params: Document, _rev: int) -> None:
        gone = params["role_id"]
        roles = {role_id: rules for role_id, rules in self._rights.roles.items() if role_id != gone}
        self._rights = replace(self._rights, roles=roles)
        for channel in tuple(self._channels.values()):
            if any(overwrite["role_id"] == gone for overwrite in channel["roles"]):
                kept = [overwrite for overwrite in channel["roles"] if overwrite["role_id"] != gone]
                self._put_channel({**channel, "roles": kept})
        for member in self._members.values():
            if member.roles is not None:
                member.roles -= {gone}

    def _put_channel(self, channel: Document) -> None:
        self._channels[channel["id"]] = channel
        self._overwrites[channel["id"]] = channel_overwrites(channel)

    def _channel_added(self, params: Document, _rev: int) -> None:
        self._put_channel(params["channel"])

    def _channel_updated(self, params: Document, rev: int) -> None:
        if (channel := self._channels.get(params["channel_id"])) is not None:
            self._put_channel({**channel, **params["changes"], "rev": rev})

    def _channel_deleted(self, params: Document, _rev: int) -> None:
        self._channels.pop(params["channel_id"], None)
        self._overwrites.pop(params["channel_id"], None)

    def _category_added(self, params: Document, _rev: int) -> None:
        self._categories[params["category"]["id"]] = params["category"]

    def _category_updated(self, params: Document, rev: int) -> None:
        if (category := self._categories.get(params["category_id"])) is not None:
            self._categories[category["id"]] = {**category, **params["changes"], "rev": rev}

    def _category_deleted(self, params: Document, _rev: int) -> None:
        self._categories.pop(params["category_id"], None)

    def _member_added(self, params: Document, rev: int) -> None:
        self._set_member(_member_of(params), params["member"]["roles"], rev)

    def _member_changed(self, params: Document, rev: int) -> None:
        if "roles" in params["changes"]:
            self._set_member(params["user_id"], params["changes"]["roles"], rev)

    def _member_deleted(self, params: Document, rev: int) -> None:
        self._set_member(params["user_id"], None, rev)

    def _set_member(self, user_id: str, roles: Iterable[str] | None, rev: int) -> None:
        """What is older than what is known of a member says nothing new."""
        member = self._members.get(user_id)
        if member is not None and rev > member.since:
            member.roles = None if roles is None else frozenset(roles)

    def _look(self, member: MemberRights) -> Seen:
        channels = {
            channel_id
            for channel_id, overwrites in self._overwrites.items()
            if VIEW_CHANNEL in channel_rules(self._rights, member, overwrites)
        }
        if MANAGE_CHANNELS in server_rules(self._rights, member):
            categories = set(self._categories)
        else:
            categories = {self._channels[each]["category_id"] for each in channels} & self._categories.keys()
        return Seen(frozenset(channels), frozenset(categories))


def roles_after(roles: Iterable[str], user_id: str, entries: Iterable[Entry]) -> list[str] | None:
    """A member's roles, moved on by the server's entries; None once they are no member any more."""
    held: list[str] | None = list(roles)
    for event in (event for entry in entries for event in entry.events):
        params = event["params"]
        match event["name"]:
            case "member_added" if _member_of(params) == user_id:
                held = list(params["member"]["roles"])
            case "member_changed" if params["user_id"] == user_id and "roles" in params["changes"]:
                held = list(params["changes"]["roles"])
            case "member_deleted" if params["user_id"] == user_id:
                held = None
    return held


def _comes_or_goes(event: Document) -> str:
    """Who joined or left by this event: of their channels they are told in another way."""
    return _member_of(event["params"]) if event["name"] in {"member_added", "member_deleted"} else ""


def _member_of(params: Document) -> str:
    member = params.get("member")
    return str(member["user"]["id"] if member else params["user_id"])


_DECISIVE = frozenset({"roles", "category_id", "rules", "owner_id"})
"""The fields of channels, roles and servers on which sight depends."""

_APPLIED: dict[str, Callable[[ServerSight, Document, int], None]] = {
    name.removeprefix("_"): getattr(ServerSight, name)
    for name in (
        "_server_updated",
        "_role_added",
        "_role_changed",
        "_role_deleted",
        "_channel_added",
        "_channel_updated",
        "_channel_deleted",
        "_category_added",
        "_category_updated",
        "_category_deleted",
        "_member_added",
        "_member_changed",
        "_member_deleted",
    )
}
