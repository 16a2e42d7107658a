"""One's own profile and password: what others are told, and which sessions end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import RpcError
from tests.rig import People, Person, System, eventually, refused

IMAGE = "0123456789abcdef" * 4


@pytest.mark.protocol("update_user", "user_changed")
async def test_others_are_told_what_changed_and_nothing_else(system: System, people: People) -> None:
    system.db.images.update_one({"_id": IMAGE}, {"$setOnInsert": {"width": 1}}, upsert=True)
    room = await people.room(new=True)
    await room.member.call("get_user", user_id=room.owner_is.id)
    before = await room.owner.call("get_user")
    second = await people.connect(room.owner_is, 1)
    changes = {"display_name": "Ann of the sea", "image": IMAGE, "status": "dnd", "status_text": "at sea"}
    changed = await room.owner.call("update_user", changes=changes)
    assert changed == {**{name: before[name] for name in ("id", "name")}, **changes, "rev": before["rev"] + 1}

    seen = await room.member.event("user_changed", user_id=room.owner_is.id)
    assert seen.params["changes"] == changes
    assert (seen.scope, seen.rev, seen.params["was"]) == (f"user:{room.owner_is.id}", changed["rev"], before["rev"])
    mine = await second.event("user_changed", user_id=room.owner_is.id)
    assert mine.params["changes"] == changes
    stored = system.db.users.find_one({"_id": room.owner_is.id}) or {}
    assert {name: stored[name] for name in changes} == changes
    member = system.db.members.find_one({"server_id": room.server_id, "user_id": room.owner_is.id}) or {}
    assert member["name_key"] == "ann of the sea"

    # The same again, and nothing at all, is no change; null clears what can be cleared.
    assert await room.owner.call("update_user", changes=changes) == changed
    assert await room.owner.call("update_user", changes={}) == changed
    cleared = await room.owner.call("update_user", changes={"image": None, "status_text": None})
    assert (cleared["image"], cleared["status_text"], cleared["rev"]) == (None, None, changed["rev"] + 1)


async def _log_in(people: People, person: Person, password: str) -> Any:
    return await (await people.open(1)).call("login", name=person.name, password=password)


@pytest.mark.protocol("update_user")
async def test_a_new_password_ends_every_other_session(system: System, people: People) -> None:
    ann = await people.register("ann")
    here, there = await people.connect(ann, 0), await people.connect(ann, 1)
    other = await _log_in(people, ann, ann.password)
    second = await people.open(1)
    await second.call("authenticate", token=other["token"])

    wrong = {"password": "another password", "old_password": "not my password"}
    refusal = await refused(here.call("update_user", changes={**wrong, "status_text": "never"}))
    assert (refusal.code, refusal.reason) == (4030, "forbidden")
    assert (await here.call("get_user"))["status_text"] is None
    right = {"password": "another password", "old_password": ann.password}
    changed = await here.call("update_user", changes={**right, "status_text": "changed"})
    assert changed["status_text"] == "changed"
    assert (await there.event("user_changed")).params["changes"] == {"status_text": "changed"}

    assert await second.closed() == 4002
    assert (await refused((await people.open()).call("authenticate", token=other["token"]))).code == 4010
    for client in (here, there, await people.connect(ann, 1)):
        assert len((await client.call("get_sessions"))["sessions"]) == 1
    assert (await refused(_log_in(people, ann, ann.password))).reason == "unauthenticated"
    assert (await _log_in(people, ann, "another password"))["user"]["id"] == ann.id
    stored = str(system.db.users.find_one({"_id": ann.id})) + str(list(system.db.journal.find()))
    assert "another password" not in stored
    assert "argon2" not in str(list(system.db.journal.find()))


async def test_a_new_password_alone_is_nothing_others_hear_of(system: System, people: People) -> None:
    ann = await people.register("ann")
    client = await people.connect(ann)
    before = await client.call("get_user")
    both = {"password": "another password", "old_password": ann.password}
    changed = await client.call("update_user", changes=both)
    assert changed["rev"] == before["rev"]
    assert system.db.journal.count_documents({"scope": f"user:{ann.id}"}) == before["rev"]
    assert (await refused(client.call("update_user", changes=both))).reason == "forbidden"


async def test_a_login_with_the_old_password_at_the_same_moment_makes_no_session_that_stays(people: People) -> None:
    """Whichever came first: the old password was good, or it was not; afterwards it never is."""
    ann = await people.register("ann")
    client = await people.connect(ann)
    password, refusals = ann.password, 0
    for number in range(8):
        changes = {"password": f"password {number}", "old_password": password}
        logins = [_log_in(people, ann, password) for _ in range(3)]
        outcomes = await asyncio.gather(*logins, client.call("update_user", changes=changes), return_exceptions=True)
        password = f"password {number}"
        for outcome in outcomes[:-1]:
            if isinstance(outcome, RpcError):
                assert outcome.reason == "unauthenticated"
                continue
            assert not isinstance(outcome, BaseException)
            late = await people.open()
            assert (await refused(late.call("authenticate", token=outcome["token"]))).code == 4010
            refusals += 1
    assert refusals, "no login was under way when the password changed"
    assert len((await client.call("get_sessions"))["sessions"]) == 1


async def test_a_session_of_an_older_password_is_none(system: System, people: People) -> None:
    """As one would be left by a login that was under way: neither let in nor kept."""
    ann = await people.register("ann")
    client = await people.connect(ann)
    system.db.users.update_one({"_id": ann.id}, {"$inc": {"generation": 1}})
    assert (await refused((await people.open()).call("authenticate", token=ann.token))).code == 4010
    assert (await client.call("get_sessions"))["sessions"] == []
    changes = {"password": "another password", "old_password": ann.password}
    await client.call("update_user", changes=changes)
    await eventually(lambda: system.db.sessions.count_documents({"user_id": ann.id}) == 1, "one session")


async def test_two_devices_change_one_profile_at_once(people: People) -> None:
    ann = await people.register("ann")
    devices = [await people.connect(ann, number % 2) for number in range(4)]
    words = [{"status_text": str(number)} if number % 2 else {"display_name": str(number)} for number in range(12)]
    first = (await devices[0].call("get_user"))["rev"] + 1
    calls = [devices[number % 4].call("update_user", changes=changes) for number, changes in enumerate(words)]
    revs = sorted(user["rev"] for user in await asyncio.gather(*calls))
    assert revs == list(range(first, first + 12))
    last = await devices[0].call("get_user")
    for device in devices:
        heard = {"display_name": ann.name, "status_text": None}
        await device.event("user_changed", rev=last["rev"])
        for event in device.heard("user_changed"):
            heard |= event.params["changes"]
        assert heard == {name: last[name] for name in heard}
