"""What one entry becomes for each connection: frames shared by all who see the same, and sight told as it changes."""

from __future__ import annotations

import json
from typing import Any, cast

from services.gateway.connection import Connection
from services.gateway.frames import text_frame
from services.gateway.outbox import Outbox
from services.gateway.sight import BLIND, Seen, ServerSight
from services.gateway.telling import Telling
from shared.journal.entry import Entry
from shared.protocol.category import Category
from shared.protocol.channel import Channel
from shared.protocol.contract import Audience
from shared.protocol.internal import BareChannel, ChannelView, ServerView
from shared.scopes import channel_scope, server_scope, user_scope

EVERYONE, ROLE = "everyone", "role"


def message(**params: Any) -> dict[str, Any]:
    return {"name": "message_deleted", "params": params}


def of(user_id: str, *servers: str) -> Connection:
    """A connection of this user, who is in these servers."""
    connection = Connection(cast(Outbox, None), lambda _code: None)
    connection.user_id, connection.servers = user_id, set(servers)
    return connection


def params_of(frame: bytes) -> dict[str, Any]:
    """The params of an event's frame, which is unmasked and short."""
    start = 2 if frame[1] < 126 else 4
    assert frame == text_frame(frame[start:])
    told: dict[str, Any] = json.loads(frame[start:])
    return dict(told["params"])


def channel(channel_id: str, *roles: tuple[str, list[str], list[str]]) -> Channel:
    overwrites = [{"role_id": role_id, "allow": allow, "deny": deny} for role_id, allow, deny in roles]
    return Channel.model_validate(
        {
            "id": channel_id,
            "server_id": "s",
            "name": channel_id,
            "description": None,
            "category_id": "cat" if roles else None,
            "position": 0,
            "roles": overwrites,
            "roles_with_access": [],
            "last_message_id": 0,
            "rev": 1,
        }
    )


def bare(each: Channel) -> BareChannel:
    return BareChannel.model_validate(each.model_dump(exclude={"roles_with_access"}))


def sight(*channels: Channel) -> ServerSight:
    """A server at revision 7 of `owner`, in which `ann` has no role."""
    view = ServerView(
        rev=7,
        owner_id="owner",
        everyone_id=EVERYONE,
        roles={EVERYONE: ["view_channel"], ROLE: []},
        categories=[Category(id="cat", name="Private", position=0, rev=1)],
        channels=[ChannelView(channel=bare(each), head=3) for each in channels],
    )
    made = ServerSight("s", view)
    made.admit("ann", [], 7)
    made.admit("owner", [], 7)
    return made


def step(server: ServerSight, *events: dict[str, Any]) -> Entry:
    entry = Entry(server_scope("s"), server.rev + 1, list(events))
    server.apply(entry)
    return entry


SECRET = channel("secret", (EVERYONE, [], ["view_channel"]), (ROLE, ["view_channel"], []))
OPEN = channel("open")


def test_only_its_author_is_shown_the_nonce() -> None:
    own = {"user_id": "ann", "params": {"message": {"nonce": "n"}}}
    event = {"name": "message_added", "params": {"message": {"id": 1}}, "own": own}
    telling = Telling(Entry(channel_scope("c", "s"), 7, [event]))
    assert params_of(telling.frame(event, of("ann"), more=False))["message"] == {"id": 1, "nonce": "n"}
    assert params_of(telling.frame(event, of("bob"), more=False)) == {
        "scope": "channel:c",
        "rev": 7,
        "message": {"id": 1},
    }


def test_a_status_is_told_to_acquaintances_alone_and_the_choice_to_oneself() -> None:
    facts = {"servers": {"s": 5}, "users": ["friend"], "shown": {"changes": {"status": "offline"}}}
    own = {"user_id": "ann", "params": {"changes": {"status": "invisible"}}}
    event = {"name": "user_changed", "params": {"changes": {}}, "own": own, "facts": facts}
    everybody = {each.user_id: each for each in (of("ann"), of("friend"), of("mate", "s"), of("eve", "other"))}

    def told(event: dict[str, Any]) -> dict[str, Any]:
        telling = Telling(Entry(user_scope("ann"), 7, [event]))
        return {
            name: params_of(telling.frame(each, connection, more=False))["changes"].get("status")
            for name, connection in everybody.items()
            for each in telling.events_for(connection, BLIND, BLIND)
        }

    shown = {"ann": "invisible", "friend": "offline", "mate": "offline"}
    assert told({**event, "to": Audience.ACQUAINTANCES}) == shown
    assert told(event) == {**shown, "eve": None}, "whatever else changed"


def test_a_frame_is_built_once_for_all_who_see_the_same() -> None:
    event = message(message_id=1)
    telling = Telling(Entry(channel_scope("c", "s"), 7, [event]))
    assert telling.frame(event, of("ann"), more=False) is telling.frame(event, of("bob"), more=False)


def test_all_but_the_last_of_one_revision_say_more() -> None:
    first, last = message(message_id=1), message(message_id=2)
    telling = Telling(Entry(channel_scope("c", "s"), 7, [first, last]))
    assert params_of(telling.frame(first, of("ann"), more=True))["more"] is True
    assert "more" not in params_of(telling.frame(last, of("ann"), more=False))


def test_a_role_brings_its_channels_into_sight_and_takes_them_away() -> None:
    server = sight(SECRET, OPEN)
    assert server.seen_by("ann") == Seen(frozenset({"open"}), frozenset())
    given = step(server, {"name": "member_changed", "params": {"user_id": "ann", "changes": {"roles": [ROLE]}}})
    gained = server.steps["ann"]
    names = [
        event["name"]
        for event in Telling(given, server).events_for(_nobody(), gained.before, gained.after, lambda _id: (3, 9))
    ]
    assert names == ["category_added", "member_changed", "channel_added"]
    taken = step(server, {"name": "role_deleted", "params": {"role_id": ROLE}})
    events = Telling(taken, server).events_for(
        _nobody(), server.steps["ann"].before, server.steps["ann"].after, lambda _id: (3, 9)
    )
    assert [event["name"] for event in events] == ["role_deleted", "channel_deleted", "category_deleted"]


def test_the_owner_sees_everything_and_loses_it_with_the_server() -> None:
    server = sight(SECRET, OPEN)
    assert server.seen_by("owner").channels == {"secret", "open"}
    step(server, {"name": "server_updated", "params": {"server_id": "s", "changes": {"owner_id": "ann"}}})
    assert set(server.steps) == {"ann", "owner"}
    assert server.seen_by("owner").channels == {"open"}
    assert server.seen_by("ann").channels == {"secret", "open"}


def test_what_changes_nobodys_sight_is_no_step() -> None:
    server = sight(SECRET, OPEN)
    step(server, {"name": "channel_updated", "params": {"channel_id": "open", "changes": {"name": "new"}}})
    assert server.steps == {}
    assert server.channel("open")["name"] == "new"


def test_a_hidden_channels_changes_are_told_to_nobody_who_does_not_see_it() -> None:
    server = sight(SECRET, OPEN)
    params = {"channel_id": "secret", "changes": {"name": "new"}, "was": 1}
    entry = step(server, {"name": "channel_updated", "to": Audience.VIEWERS, "params": params})
    telling = Telling(entry, server)
    ann, owner = server.seen_by("ann"), server.seen_by("owner")
    assert telling.events_for(_nobody(), ann, ann) == []
    assert telling.events_for(_nobody(), owner, owner) == entry.events


def test_roles_that_are_not_in_force_yet_show_nothing() -> None:
    server = sight(OPEN)
    server.admit("bob", [], 8)
    assert server.seen_by("bob") == BLIND
    step(server, {"name": "role_changed", "params": {"role_id": ROLE, "changes": {"name": "new"}}})
    assert server.seen_by("bob").channels == {"open"}


def test_an_older_change_of_roles_says_nothing_new() -> None:
    server = sight(SECRET)
    server.admit("bob", [ROLE], 9)
    step(server, {"name": "member_changed", "params": {"user_id": "bob", "changes": {"roles": []}}})
    step(server, {"name": "server_updated", "params": {"server_id": "s", "changes": {"name": "new"}}})
    assert server.seen_by("bob").channels == {"secret"}


def test_what_was_known_before_some_entries_is_found_again() -> None:
    server = sight(SECRET, OPEN)
    before = {user: server.seen_by(user) for user in ("ann", "owner")}
    gone = {"roles": [each.model_dump() for each in SECRET.roles], "category_id": "cat"}
    entries = [
        step(server, {"name": "channel_added", "params": {"channel": channel("new").model_dump(), "at": 0}}),
        step(server, {"name": "channel_deleted", "params": {"channel_id": "secret"}, "facts": gone}),
        step(server, {"name": "category_deleted", "params": {"category_id": "cat"}}),
        step(
            server,
            {"name": "channel_deleted", "params": {"channel_id": "new"}, "facts": {"roles": [], "category_id": None}},
        ),
    ]
    assert {user: server.known_before(user, entries) for user in before} == before


def _nobody() -> Any:
    """No connection is asked anything where no event is a member's."""
    return None
