"""What each connection is told of one entry: the events it may see, as frames shared by all who get the same.

Coming into sight of a channel and going out of it are no events of the journal's: they are found by comparing what a
member saw before an entry and after, and are told in its place, whatever caused them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from services.gateway.connection import Connection
from services.gateway.frames import notification
from services.gateway.sight import Seen, ServerSight
from shared.journal.entry import Entry
from shared.protocol.contract import Audience

Event = dict[str, Any]
Place = tuple[int, int]

_PERSONAL = {Audience.MEMBERS, Audience.ACQUAINTANCES, Audience.OWN}
"""Audiences of which it depends on the connection, not on what its user sees, whether it is told."""


class Telling:
    """`sight` is given for an entry of a server."""

    def __init__(self, entry: Entry, sight: ServerSight | None = None) -> None:
        self._entry = entry
        self._sight = sight
        self._frames: dict[tuple[int, bool, bool, bool], bytes] = {}
        self._derived: dict[tuple[str, str, Place], Event] = {}
        self._lists: dict[tuple[Seen, Seen], list[Event]] = {}
        self._personal = any(event.get("to") in _PERSONAL for event in entry.events)

    def events_for(
        self, connection: Connection, before: Seen, after: Seen, place: Callable[[str], Place] | None = None
    ) -> list[Event]:
        """What a connection is told whose user saw so much before the entry, and sees so much after it.

        `place` says of a channel that comes into sight from which revision on its own events follow, and the id of its
        last message.
        """
        if self._personal or before is not after:
            is_for = partial(_is_for, connection, self._entry.scope.id)
            return list(self._events(before, after, is_for, place))
        key = (before, after)
        if key not in self._lists:
            self._lists[key] = list(self._events(before, after, _is_for_all, place))
        return self._lists[key]

    def frame(self, event: Event, connection: Connection, *, more: bool) -> bytes:
        """`more`: further events of this entry follow.

        An event may show acquaintances more than others, and its own author more than those.
        """
        own = event.get("own")
        mine = own is not None and own["user_id"] == connection.user_id
        near = "shown" in event.get("facts", ()) and _is_acquainted(connection, event)
        key = (id(event), more, mine, near)
        if key not in self._frames:
            shown = [event["facts"]["shown"]] if near else []
            if mine:
                shown.append(event["own"]["params"])
            self._frames[key] = self._build(event, shown, more=more)
        return self._frames[key]

    def _events(
        self, before: Seen, after: Seen, is_for: Callable[[Event], bool], place: Callable[[str], Place] | None
    ) -> Iterator[Event]:
        """In an order in which they can be applied: a category comes before what stands in it, and goes after."""
        yield from self._each("category_added", after.categories - before.categories)
        for event in self._entry.events:
            if event.get("to") == Audience.VIEWERS:
                if _sees(before, event) and _sees(after, event):
                    yield event
            elif is_for(event):
                yield event
        yield from self._each("channel_added", after.channels - before.channels, place)
        yield from self._each("channel_deleted", before.channels - after.channels)
        yield from self._each("category_deleted", before.categories - after.categories)

    def _each(self, name: str, ids: Iterable[str], place: Callable[[str], Place] | None = None) -> Iterator[Event]:
        for id_ in sorted(ids):
            key = (name, id_, place(id_) if place else (0, 0))
            if key not in self._derived:
                self._derived[key] = {"name": name, "params": self._params(*key)}
            yield self._derived[key]

    def _params(self, name: str, id_: str, place: Place) -> Event:
        assert self._sight is not None  # noqa: S101 - only a server's entry changes sight
        match name:
            case "channel_added":
                at, last_id = place
                return {"channel": {**self._sight.channel(id_), "last_message_id": last_id}, "at": at}
            case "category_added":
                return {"category": self._sight.category(id_)}
            case "channel_deleted":
                return {"channel_id": id_}
            case _:
                return {"category_id": id_}

    def _build(self, event: Event, shown: Iterable[Event], *, more: bool) -> bytes:
        params: dict[str, Any] = {"scope": self._entry.scope.name, "rev": self._entry.rev, **event["params"]}
        for extras in shown:
            for name, extra in extras.items():
                params[name] = {**params[name], **extra}
        if more:
            params["more"] = True
        return notification(event["name"], params)


def _is_for_all(event: Event) -> bool:
    return bool(event.get("to", Audience.SCOPE) == Audience.SCOPE)


def _is_for(connection: Connection, server_id: str, event: Event) -> bool:
    match event.get("to"):
        case Audience.MEMBERS:
            member = event["params"].get("member")
            about = member["user"]["id"] if member else event["params"]["user_id"]
            return server_id in connection.loaded_members or bool(about == connection.user_id)
        case Audience.ACQUAINTANCES:
            own = event.get("own", {}).get("user_id")
            return bool(own == connection.user_id) or _is_acquainted(connection, event)
        case Audience.OWN:
            return bool(event["own"]["user_id"] == connection.user_id)
        case _:
            return _is_for_all(event)


def _is_acquainted(connection: Connection, event: Event) -> bool:
    """Whether the user an event is about was acquainted with the connection's when it was made."""
    facts = event["facts"]
    return connection.user_id in facts["users"] or not connection.servers.isdisjoint(facts["servers"])


def _sees(seen: Seen, event: Event) -> bool:
    """Whether what an event changes is seen; what it makes or deletes is told as coming or going."""
    params = event["params"]
    if not event["name"].endswith("_updated"):
        return False
    return params.get("channel_id") in seen.channels or params.get("category_id") in seen.categories
