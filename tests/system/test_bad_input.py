"""Bad input to every method: the right error, never 5000, and nothing changed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.client import RpcError
from tests.fuzz.hostile import HUGE, NOWHERE, ODD_IDS, OPERATORS
from tests.rig import People, Room, System, refused

OF_FRIENDS = {"add_friend", "update_friend", "delete_friend"}


@dataclass(frozen=True)
class Field:
    """One param: its wrong types are all but its own, and `wrong` are values of the right type out of range.

    `fine` are values that are right, of those that others would not be.
    """

    own: tuple[type, ...]
    wrong: tuple[Any, ...] = ()
    required: bool = True
    fine: tuple[Any, ...] = ()

    def bad(self) -> Iterator[Any]:
        samples: list[Any] = [*OPERATORS, {}, [], ["x"], "7", 7, 1.5, True]
        samples = [each for each in samples if each not in self.fine]
        yield from (sample for sample in samples if type(sample) not in self.own)
        yield from self.wrong
        if self.required:
            yield None


def text(longest: int, *more: str, shortest: int = 1, required: bool = True) -> Field:
    short = ("x" * (shortest - 1),) if shortest else ()
    return Field((str,), ("x" * (longest + 1), *short, *more), required)


def whole(least: int, *more: Any, required: bool = True) -> Field:
    return Field((int,), (least - 1, -HUGE, HUGE, *more), required)


ID = Field((str,))
OPTIONAL_ID = Field((str,), required=False)
NONCE = text(64, required=False)
SINCE = whole(0, required=False)
CONTENT = text(4000)
CODE = Field((str,))
NAME = text(32, "Upper", "a b", "a\n", "ä", "a\x00b", "a-b", "$ne", "a/b", shortest=2)
PASSWORD = text(128, shortest=8)
EMOJI = text(32, "a\x00b", "\n")
TITLE = text(100, required=False)
POSITION = Field((int, float), (1e10, -1e10), required=False)
CHANGES = Field((), ("x",), fine=({},))
"""What is in it has a table of its own, `CHANGED`."""
COLOR = text(32, "a\nb", shortest=0)
RULES = Field((list,), (["fly"], [1], [None], ["view_channel"] * 51), fine=([],))
OVERWRITES = Field(
    (),
    (
        [{"allow": []}],
        [{"role_id": 1}],
        [{"role_id": "x", "allow": ["fly"]}],
        [{"role_id": "x", "more": 1}],
        [{"role_id": "x"}] * 101,
    ),
    required=False,
    fine=([],),
)
FILTER = Field(
    (),
    ({"name": ""}, {"name": 1}, {"user_ids": ["x"] * 101}, {"user_ids": "x"}, {"online": 1}, {"friends": "yes"}),
    required=False,
    fine=({},),
)
ANCHOR = text(512, required=False)
DESCRIPTION = text(1000, "a\x00b", "a\x1bb", shortest=0, required=False)

BAD_CHANGES: list[dict[str, Any]] = [
    *(operator for operator in OPERATORS if isinstance(operator, dict)),
    *({"display_name": value} for value in (None, "", "x" * 65, "a\x00b", 5, {"$ne": 1})),
    *({"image": value} for value in ("", "0" * 63, "Z" * 64, 5)),
    *({"status": value} for value in (None, "offline", "away", 1)),
    *({"status_text": value} for value in ("", "x" * 129, "a\nb", 5)),
    *({"password": "long enough", "old_password": value} for value in (None, "short", 5)),
    *({"password": value, "old_password": "long enough"} for value in (None, "short", "x" * 129)),
    *({name: "long enough"} for name in ("password", "old_password", "name", "rev", "deleted")),
]
BAD_SETTINGS: list[dict[str, Any]] = [
    {"large": "x" * (16 << 10)},
    {"\x00": 1},
    {"inside": [{"$ref": "users", "$id": 1}]},
    {"number": 2**64 - 1},
    functools.reduce(lambda inner, _: {"x": inner}, range(32), {}),
]

METHODS: dict[str, dict[str, Field]] = {
    "register": {
        "name": NAME,
        "password": PASSWORD,
        "display_name": Field((str,), ("x" * 2000,), required=False),
        "device": Field((str,), ("x" * 2000,), required=False),
    },
    "login": {"name": NAME, "password": PASSWORD, "device": Field((str,), ("x" * 2000,), required=False)},
    "authenticate": {
        "token": Field((str,), ("x" * 257, "")),
        "resume": Field((dict,), ({"x": -1}, {"x": "1"}, {"x": {"$gt": 0}}), required=False, fine=({},)),
        "members": Field((list,), ([1], [{"$ne": 1}], ["x"] * 201), required=False, fine=([],)),
    },
    "resume": {
        "scopes": Field((dict,), ({"x": -1}, {"x": "1"}, {"x": {"$gt": 0}}), fine=({},)),
        "members": Field((list,), ([1], [{"$ne": 1}], ["x"] * 201), required=False, fine=([],)),
    },
    "forget": {"scopes": Field((list,), ([1], [{"$ne": 1}], ["x"] * 5001), fine=([],))},
    "get_sessions": {},
    "delete_session": {"session_id": ID},
    "logout": {},
    "ping": {},
    "get_user": {"user_id": OPTIONAL_ID, "since": SINCE},
    "get_users": {"users": Field((dict,), ({"x": -1}, {"x": "1"}, {str(n): 0 for n in range(101)}))},
    "update_user": {"changes": Field((dict,), tuple(BAD_CHANGES))},
    "delete_user": {"password": PASSWORD},
    "get_friends": {"since": SINCE, "anchor": text(64, required=False)},
    "add_friend": {"user_id": OPTIONAL_ID, "name": replace(NAME, required=False), "nonce": NONCE},
    "update_friend": {"user_id": ID, "state": Field((str,), ("", "incoming", "blocked_by", "x"))},
    "delete_friend": {"user_id": ID},
    "get_settings": {"since": SINCE},
    "update_settings": {"settings": Field((dict,), tuple(BAD_SETTINGS))},
    "add_server": {
        "name": text(100),
        "image": Field((str,), ("", "x", "../../etc/passwd", "0" * 63, "Z" * 64), required=False),
        "description": DESCRIPTION,
        "nonce": NONCE,
    },
    "get_servers": {"user_id": OPTIONAL_ID, "since": SINCE},
    "get_server": {"server_id": OPTIONAL_ID, "since": SINCE},
    "add_invite": {
        "server_id": ID,
        "max_uses": whole(1, required=False),
        "expires_in": whole(1, required=False),
        "nonce": NONCE,
    },
    "join_server": {"invite": CODE},
    "leave_server": {"server_id": ID},
    "get_server_channels": {"server_id": ID, "user_id": OPTIONAL_ID, "since": SINCE},
    "add_channel": {
        "server_id": ID,
        "name": text(100),
        "category_id": OPTIONAL_ID,
        "description": DESCRIPTION,
        "position": POSITION,
        "roles": OVERWRITES,
        "nonce": NONCE,
    },
    "update_server": {"server_id": ID, "changes": CHANGES, "if_rev": SINCE},
    "delete_server": {"server_id": ID},
    "get_server_channel": {"channel_id": ID, "since": SINCE},
    "update_channel": {"channel_id": ID, "changes": CHANGES, "if_rev": SINCE},
    "delete_channel": {"channel_id": ID},
    "add_category": {"server_id": ID, "name": text(100), "position": POSITION, "nonce": NONCE},
    "update_category": {"server_id": ID, "category_id": ID, "changes": CHANGES, "if_rev": SINCE},
    "delete_category": {"server_id": ID, "category_id": ID},
    "get_server_roles": {"server_id": ID, "user_id": OPTIONAL_ID, "since": SINCE},
    "add_role": {"server_id": ID, "name": text(100), "color": COLOR, "rules": RULES, "nonce": NONCE},
    "update_role": {"server_id": ID, "role_id": ID, "changes": CHANGES, "if_rev": SINCE},
    "delete_role": {"server_id": ID, "role_id": ID},
    "get_server_members": {
        "server_id": ID,
        "amount": whole(1, 101),
        "anchor": ANCHOR,
        "filter": FILTER,
        "since": SINCE,
    },
    "update_member": {"server_id": ID, "user_id": ID, "changes": CHANGES, "if_rev": SINCE},
    "delete_member": {"server_id": ID, "user_id": ID},
    "get_invites": {"server_id": ID},
    "delete_invite": {"server_id": ID, "code": CODE},
    "add_ban": {"server_id": ID, "user_id": ID, "why": text(512, required=False), "nonce": NONCE},
    "delete_ban": {"server_id": ID, "user_id": ID},
    "get_bans": {"server_id": ID, "amount": whole(1, 101), "anchor": ANCHOR},
    "add_message": {
        "channel_id": ID,
        "content": CONTENT,
        "reply_to": whole(1, required=False),
        "nonce": NONCE,
    },
    "get_message_chunk": {
        "channel_id": ID,
        "amount": whole(1, 101),
        "anchor": whole(0),
        "direction": Field((bool,)),
        "since": SINCE,
    },
    "update_message": {"channel_id": ID, "message_id": whole(1), "content": CONTENT},
    "delete_message": {"channel_id": ID, "message_id": whole(1)},
    "add_reaction": {"channel_id": ID, "message_id": whole(1), "emoji": EMOJI, "nonce": NONCE},
    "delete_reaction": {"channel_id": ID, "message_id": whole(1), "emoji": EMOJI},
    "start_typing": {"channel_id": ID},
    "get_read_states": {"server_id": OPTIONAL_ID},
    "update_read_state": {"channel_id": ID, "message_id": whole(1)},
    "get_direct_channels": {"since": SINCE},
    "add_direct_channel": {
        "user_ids": Field((list,), ([], [""], ["x" * 65], [1], [None], [["x"]], ["x"] * 10)),
        "nonce": NONCE,
    },
    "leave_direct_channel": {"channel_id": ID},
}

IMAGE = Field((str,), ("", "x", "../../etc/passwd", "0" * 63, "Z" * 64), required=False)
CHANGED: dict[str, dict[str, Field]] = {
    "update_server": {"name": text(100), "image": IMAGE, "description": DESCRIPTION, "owner_id": ID},
    "update_channel": {
        "name": text(100),
        "description": DESCRIPTION,
        "category_id": OPTIONAL_ID,
        "position": replace(POSITION, required=True),
        "roles": replace(OVERWRITES, required=True),
    },
    "update_category": {"name": text(100), "position": replace(POSITION, required=True)},
    "update_role": {
        "name": text(100),
        "color": COLOR,
        "rules": RULES,
        "position": replace(POSITION, required=True),
    },
    "update_member": {
        "nick": text(64, "a\nb", required=False),
        "roles": Field((list,), ([1], [None], ["x"] * 251), fine=([], ["x"])),
    },
}
"""The fields of `changes`; what is required here can't be cleared with null."""


def valid(room: Room, method: str) -> dict[str, Any]:
    """Params with which the room's owner would succeed, but for the name of a new user and the code of an invite."""
    values: dict[str, Any] = {
        "name": "valid.name" if method in {"register", "login"} else "Valid name",
        "password": "valid password",
        "server_id": room.server_id,
        "channel_id": room.channel_id,
        "invite": "no2such3code",
        "content": "valid",
        "amount": 10,
        "anchor": 0,
        "direction": False,
        "message_id": 1,
        "category_id": NOWHERE,
        "role_id": NOWHERE,
        "user_id": NOWHERE if method in OF_FRIENDS else room.member_is.id,
        "code": "no2such3code",
        "color": "",
        "rules": [],
        "changes": {},
        "emoji": "👍",
        "user_ids": [room.member_is.id],
        "state": "friend",
        "users": {},
        "settings": {},
        "token": "no such token",
        "scopes": {} if method == "resume" else [],
        "session_id": NOWHERE,
    }
    needed = {name for name, field in METHODS[method].items() if field.required or name == "server_id"}
    return {name: values[name] for name in METHODS[method] if name in needed}


def stored(system: System) -> dict[str, int]:
    guilds = ["servers", "channels", "categories", "roles", "members", "invites", "bans"]
    said = ["messages", "reactions", "reads", "directs"]
    names = ["users", "sessions", *guilds, *said, "journal", "nonces"]
    return {name: system.db[name].count_documents({}) for name in names}


async def ask_all(room: Room, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The outcomes of any number of calls, fifty to a batch."""
    batches = [calls[start : start + 50] for start in range(0, len(calls), 50)]
    return [outcome for batch in batches for outcome in await room.owner.batch(*batch)]


@pytest.mark.parametrize("method", METHODS)
async def test_every_field_is_checked(system: System, people: People, method: str) -> None:
    """Missing, null, of the wrong type, an operator, too long, out of range: `invalid_params`, naming the field."""
    room = await people.room()
    await room.owner.call("add_message", channel_id=room.channel_id, content="stays")
    good = valid(room, method)
    cases: list[tuple[str, dict[str, Any]]] = [
        (name, {**good, name: value}) for name, field in METHODS[method].items() for value in field.bad()
    ]
    required = [name for name, field in METHODS[method].items() if field.required]
    cases += [(name, {key: good[key] for key in good if key != name}) for name in required]
    cases += [(name, {**good, name: 1}) for name in ("unknown", "$where", "", "_id")]
    before = stored(system)
    outcomes = await ask_all(room, [(method, params) for _, params in cases])
    wrong = [
        (name, params, outcome)
        for (name, params), outcome in zip(cases, outcomes, strict=True)
        if not isinstance(outcome, RpcError)
        or (outcome.code, outcome.reason) != (-32602, "invalid_params")
        or not any(field == name or field.startswith(f"{name}.") for field in outcome.fields)
    ]
    assert not wrong
    assert stored(system) == before


@pytest.mark.parametrize("method", CHANGED)
async def test_every_change_is_checked(system: System, people: People, method: str) -> None:
    """As any field; and what can't be cleared is not."""
    room = await people.room()
    good = valid(room, method)
    cases = [(name, {name: value}) for name, field in CHANGED[method].items() for value in field.bad()]
    cases += [(name, {name: 1}) for name in ("unknown", "$set", "", "_id", "rev")]
    before = stored(system)
    outcomes = await ask_all(room, [(method, {**good, "changes": changes}) for _, changes in cases])
    wrong = [
        (changes, outcome)
        for (name, changes), outcome in zip(cases, outcomes, strict=True)
        if not isinstance(outcome, RpcError)
        or outcome.code != -32602
        or not any(field.startswith(f"changes.{name}") for field in outcome.fields)
    ]
    assert not wrong
    assert stored(system) == before


@pytest.mark.parametrize("frame", ["[]", '[{"server_id": 1}]', '"text"', "5", "null", "true"])
async def test_params_are_objects(people: People, frame: str) -> None:
    client = await people.connect(await people.anybody())
    answer = await client.exchange(f'{{"jsonrpc": "2.0", "id": "x", "method": "get_server", "params": {frame}}}')
    assert answer["error"]["code"] in {-32600, -32602}
    assert answer["id"] in {"x", None}
    assert (await client.call("ping"))["time"]


ID_FIELDS = [
    (method, name)
    for method, fields in METHODS.items()
    for name in fields
    if name in {"server_id", "channel_id", "user_id", "invite", "code", "category_id", "role_id"}
]
NOTHING_TO_FIND = {
    ("get_servers", "user_id"),
    ("leave_server", "server_id"),
    ("leave_direct_channel", "channel_id"),
    ("delete_category", "category_id"),
    ("delete_role", "role_id"),
    ("delete_member", "user_id"),
    ("delete_ban", "user_id"),
    ("delete_invite", "code"),
    ("delete_friend", "user_id"),
}
"""With nobody one shares nothing; what one is not in one has left; and what is not there has been deleted."""


@pytest.mark.parametrize(("method", "name"), ID_FIELDS)
async def test_an_odd_id_is_nothing_anybody_has(people: People, method: str, name: str) -> None:
    """Whatever it looks like, to NATS or to MongoDB."""
    room = await people.room()
    calls = [(method, {**valid(room, method), name: odd}) for odd in ODD_IDS]
    outcomes = await ask_all(room, calls)
    reasons = [outcome.reason if isinstance(outcome, RpcError) else "" for outcome in outcomes]
    allowed = {"not_found", "invalid_params"} | ({""} if (method, name) in NOTHING_TO_FIND else set())
    wrong = [(odd, reason) for odd, reason in zip(ODD_IDS, reasons, strict=True) if reason not in allowed]
    assert not wrong


FOREIGN = [method for method, fields in METHODS.items() if fields.keys() & {"server_id", "channel_id"}]


@pytest.mark.parametrize("method", FOREIGN)
async def test_what_one_may_not_see_does_not_exist(people: People, method: str) -> None:
    """To a stranger a real server or channel looks in every field of the answer as one that never was."""
    room = await people.room()
    await room.owner.call("add_message", channel_id=room.channel_id, content="private")
    stranger = await people.connect(await people.anybody("eve"), 1)
    good = valid(room, method)
    missing = {name: NOWHERE if name in {"server_id", "channel_id"} else value for name, value in good.items()}
    requests = [{"jsonrpc": "2.0", "id": "x", "method": method, "params": params} for params in (good, missing)]
    foreign, never = [await stranger.exchange(json.dumps(request)) for request in requests]
    assert foreign == never
    leaving = method in {"leave_server", "leave_direct_channel"}
    assert leaving or foreign["error"]["data"]["reason"] == "not_found"


async def test_messages_of_another_channel_are_not_found_in_this_one(people: People) -> None:
    room = await people.room()
    second = (await room.owner.call("add_channel", server_id=room.server_id, name="second"))["id"]
    await room.owner.call("add_message", channel_id=room.channel_id, content="here")
    for method, more in (("update_message", {"content": "there"}), ("delete_message", {})):
        refusal = await refused(room.owner.call(method, channel_id=second, message_id=1, **more))
        assert refusal.reason == "not_found"
    refusal = await refused(room.owner.call("add_message", channel_id=second, content="x", reply_to=1))
    assert refusal.reason == "not_found"


async def test_get_server_wants_one_of_both(people: People) -> None:
    room = await people.room()
    code = (await room.owner.call("add_invite", server_id=room.server_id))["code"]
    wrong: list[dict[str, Any]] = [{}, {"server_id": room.server_id, "invite": code}]
    for params in wrong:
        refusal = await refused(room.owner.call("get_server", **params))
        assert (refusal.code, refusal.reason) == (-32602, "invalid_params")
    for value in OPERATORS:
        refusal = await refused(room.owner.call("get_server", invite=value))
        assert (refusal.code, refusal.fields) == (-32602, {"invite"})


@pytest.mark.parametrize("value", [*OPERATORS, 5, None, True, {}, []])
async def test_a_token_is_a_text(people: People, value: Any) -> None:
    client = await people.open()
    refusal = await refused(client.call("authenticate", token=value))
    assert (refusal.code, refusal.reason) == (-32602, "invalid_params")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\u202e\u0000", "\ufffe", "\U0010ffff", "\u0085", "\x7f"])
async def test_odd_characters_come_back_as_they_were_or_are_refused(people: People, text: str) -> None:
    room = await people.room()
    try:
        made = await room.owner.call("add_message", channel_id=room.channel_id, content=text)
    except RpcError as error:
        assert error.reason == "invalid_params"  # noqa: PT017 - either is right
        return
    assert made["content"] == text
    event = await room.member.event("message_added")
    assert event.params["message"]["content"] == text


@pytest.mark.parametrize("number", ["10.0", "1e1", "-0", "-0.0", "0.0", "1E400", "-1E400", "18446744073709551616"])
async def test_numbers_written_in_odd_ways(people: People, number: str) -> None:
    """A number that JSON allows is a page, or invalid; it is never our fault."""
    room = await people.room()
    params = {"channel_id": room.channel_id, "amount": 10, "anchor": 0, "direction": False}
    for field in ("amount", "anchor"):
        request = {"jsonrpc": "2.0", "id": "x", "method": "get_message_chunk", "params": {**params, field: "HERE"}}
        answer = await room.owner.exchange(json.dumps(request).replace('"HERE"', number))
        assert "result" in answer or answer["error"]["code"] in {-32602, -32700}
    assert (await room.owner.call("ping"))["time"]


@pytest.mark.parametrize("number", ["1E400", "-1E400", "1e308", "-0.0", "5e-324", "18446744073709551616"])
async def test_a_position_is_a_number_that_can_be_given_back(people: People, number: str) -> None:
    room = await people.room()
    params = {"server_id": room.server_id, "name": "x", "position": "HERE"}
    request = {"jsonrpc": "2.0", "id": "x", "method": "add_channel", "params": params}
    answer = await room.owner.exchange(json.dumps(request).replace('"HERE"', number))
    if "error" in answer:
        assert answer["error"]["code"] in {-32602, -32700}
    else:
        assert answer["result"]["position"] == float(number)
        assert (await room.member.event("channel_added")).params["channel"] == answer["result"]
