"""Accounts and sessions: register, login, authenticate, logout, ping, get_user."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.client import RpcError
from tests.rig import People, System, refused

PROFILE = {"id", "name", "display_name", "image", "status", "status_text", "rev"}


def everything_stored(system: System) -> str:
    """All documents of the database, as text."""
    return "\n".join(str(document) for name in system.db.list_collection_names() for document in system.db[name].find())


@pytest.mark.protocol("register", "authenticate")
async def test_register_makes_a_user_whose_token_works_on_any_gateway(system: System, people: People) -> None:
    client = await people.open(0)
    made = await client.call(
        "register", name="ann.of_the.sea", password="correct horse", display_name="Ann", device="phone"
    )
    assert set(made) == {"user", "token"}
    assert set(made["user"]) == PROFILE
    assert made["user"]["name"] == "ann.of_the.sea"
    assert made["user"]["display_name"] == "Ann"
    assert len(made["user"]["id"]) == 24

    elsewhere = await people.open(1)
    opened = await elsewhere.call("authenticate", token=made["token"])
    assert opened["user"] == {**made["user"], "rev": made["user"]["rev"] + 1}, "online from here on"
    assert opened["protocol"] == 1
    assert opened["epoch"]
    assert opened["stale"] == opened["gone"] == []
    assert set(opened["current"]) == {f"self:{made['user']['id']}"}

    assert system.db.users.count_documents({"name": "ann.of_the.sea"}) == 1
    stored = everything_stored(system)
    assert "correct horse" not in stored
    assert made["token"] not in stored


async def test_a_display_name_is_the_name_unless_given(people: People) -> None:
    made = await (await people.open()).call("register", name="plain.name", password="12345678")
    assert made["user"]["display_name"] == "plain.name"


async def test_a_name_can_be_taken_once_by_whoever_is_first(system: System, people: People) -> None:
    clients = await asyncio.gather(*(people.open(number % 2) for number in range(4)))
    outcomes = await asyncio.gather(
        *(client.call("register", name="only.one", password="12345678") for client in clients), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, RpcError)]
    assert [refusal.reason for refusal in refusals] == ["conflict"] * 3
    assert {refusal.code for refusal in refusals} == {4090}
    assert system.db.users.count_documents({"name": "only.one"}) == 1


@pytest.mark.protocol("login")
async def test_login_makes_another_session(system: System, people: People) -> None:
    ann = await people.register("ann")
    client = await people.open(1)
    again = await client.call("login", name=ann.name, password=ann.password, device="desk")
    assert again["user"]["id"] == ann.id
    assert again["token"] != ann.token
    first = await (await people.open(0)).call("authenticate", token=ann.token)
    second = await client.call("authenticate", token=again["token"])
    assert first["session_id"] != second["session_id"]
    assert system.db.sessions.count_documents({"user_id": ann.id}) == 2


async def test_login_never_says_whether_name_or_password_was_wrong(people: People) -> None:
    ann = await people.register("ann")
    client = await people.open()
    wrong_password = await refused(client.call("login", name=ann.name, password="not her password"))
    wrong_name = await refused(client.call("login", name="nobody.at_all", password="not her password"))
    assert wrong_password.code == wrong_name.code == 4010
    assert wrong_password.reason == wrong_name.reason == "unauthenticated"
    assert (wrong_password.message, wrong_password.data) == (wrong_name.message, wrong_name.data)
    assert (await client.call("login", name=ann.name, password=ann.password))["user"]["id"] == ann.id


@pytest.mark.parametrize("token", ["no such token", "x" * 256, "0" * 24, "ü", "a\x00b", "$ne"])
async def test_a_bad_token_is_answered_and_then_closes(people: People, token: str) -> None:
    client = await people.open()
    refusal = await refused(client.call("authenticate", token=token))
    assert (refusal.code, refusal.reason) == (4010, "unauthenticated")
    assert await client.closed() == 4001


async def test_a_bad_token_is_answered_in_a_batch_too(people: People) -> None:
    client = await people.open()
    first, second = await client.batch(("authenticate", {"token": "no such token"}), ("get_servers", {}))
    assert isinstance(first, RpcError)
    assert isinstance(second, RpcError)
    assert (first.code, second.code) == (4010, 4010)
    assert await client.closed() == 4001


async def test_authenticate_may_come_first_in_a_batch(people: People) -> None:
    ann = await people.register("ann")
    client = await people.open()
    opened, servers, pong = await client.batch(
        ("authenticate", {"token": ann.token}), ("get_servers", {}), ("ping", {})
    )
    assert opened["user"]["id"] == ann.id
    assert servers["servers"] == []
    assert pong["time"] > 0


async def test_requests_right_behind_authenticate_wait_for_it(people: People) -> None:
    ann = await people.register("ann")
    client = await people.open()
    await client.send("authenticate", token=ann.token)
    assert (await client.call("get_servers"))["servers"] == []


async def test_a_connection_is_one_users_for_good(people: People) -> None:
    ann, eve = await people.several("ann", "eve")
    client = await people.connect(ann)
    for token in (ann.token, eve.token, "no such token"):
        refusal = await refused(client.call("authenticate", token=token))
        assert (refusal.code, refusal.reason) == (4090, "conflict")
    assert (await client.call("get_user"))["id"] == ann.id


@pytest.mark.protocol("logout")
async def test_logout_ends_every_socket_of_the_session_and_no_other(system: System, people: People) -> None:
    ann = await people.register("ann")
    here, there = await people.connect(ann, 0), await people.connect(ann, 1)
    second = await people.open(1)
    other = await second.call("login", name=ann.name, password=ann.password)
    await second.call("authenticate", token=other["token"])

    assert await here.call("logout") == {}
    assert await here.closed() == 4002
    assert await there.closed() == 4002
    assert (await second.call("get_user"))["id"] == ann.id

    late = await people.open()
    assert (await refused(late.call("authenticate", token=ann.token))).code == 4010
    assert await late.closed() == 4001
    assert system.db.sessions.count_documents({"user_id": ann.id}) == 1


@pytest.mark.protocol("ping")
async def test_ping_tells_the_time_to_anybody(people: People) -> None:
    client = await people.open()
    answer = await client.call("ping")
    assert set(answer) == {"time"}
    assert isinstance(answer["time"], int)
    assert abs(answer["time"] / 1000 - time.time()) < 5


@pytest.mark.protocol("get_user")
async def test_get_user_shows_me_and_others(people: People) -> None:
    room = await people.room()
    mine = await room.owner.call("get_user")
    theirs = await room.owner.call("get_user", user_id=room.member_is.id)
    assert set(mine) == set(theirs) == PROFILE | {"full"}
    assert mine["full"] is theirs["full"] is True
    assert mine["id"] == room.owner_is.id
    assert theirs["name"] == room.member_is.name
    same = await room.owner.call("get_user", user_id=room.owner_is.id, since=mine["rev"])
    assert same == {"rev": mine["rev"], "full": False, "updated": [], "deleted": []}


async def test_get_user_of_nobody(people: People) -> None:
    client = await people.connect(await people.anybody())
    refusal = await refused(client.call("get_user", user_id="0" * 24))
    assert (refusal.code, refusal.reason) == (4040, "not_found")


CALLS: Mapping[str, Mapping[str, Any]] = {
    "logout": {},
    "get_user": {},
    "add_server": {"name": "x"},
    "get_servers": {},
    "get_server": {"server_id": "0" * 24},
    "add_invite": {"server_id": "0" * 24},
    "join_server": {"invite": "abc"},
    "leave_server": {"server_id": "0" * 24},
    "get_server_channels": {"server_id": "0" * 24},
    "add_channel": {"server_id": "0" * 24, "name": "x"},
    "add_message": {"channel_id": "0" * 24, "content": "x"},
    "get_message_chunk": {"channel_id": "0" * 24, "amount": 1, "anchor": 0, "direction": False},
    "update_message": {"channel_id": "0" * 24, "message_id": 1, "content": "x"},
    "delete_message": {"channel_id": "0" * 24, "message_id": 1},
}


async def test_nothing_else_works_before_authenticate(people: People) -> None:
    client = await people.open()
    for method, params in CALLS.items():
        refusal = await refused(client.call(method, **params))
        assert (method, refusal.code, refusal.reason) == (method, 4010, "unauthenticated")
    assert (await client.call("ping"))["time"]


async def test_a_notification_before_authenticate_does_nothing(people: People) -> None:
    ann = await people.register("ann")
    client = await people.open()
    await client.notify("add_server", name="never made")
    await client.call("authenticate", token=ann.token)
    assert (await client.call("get_servers"))["servers"] == []


async def test_the_answer_is_one_json_text_per_frame(people: People) -> None:
    client = await people.open()
    answer = await client.exchange(json.dumps({"jsonrpc": "2.0", "id": "é☃", "method": "ping"}))
    assert answer == {"jsonrpc": "2.0", "id": "é☃", "result": {"time": answer["result"]["time"]}}
