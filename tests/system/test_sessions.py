"""How long a session lasts: thirty days from when it was last in use, be it by a socket that stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.client import Client
from tests.rig import People, Person, System, eventually, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIFETIME = timedelta(days=30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[System]:
    """Its gateways ask each second which sessions stand."""
    env = {"gateway": {"DIGEST_INTERVAL": "1"}}
    system = System(Path(tmp_path_factory.mktemp("sessions")), mongod, env=env)
    await asyncio.to_thread(system.start)
    yield system
    await asyncio.to_thread(system.stop)


@pytest_asyncio.fixture(loop_scope="module")
async def people(system: System) -> AsyncIterator[People]:
    people = People(system)
    yield people
    await people.close()


def left(system: System, person: Person) -> timedelta:
    """For how long the only session of this user lasts from now on."""
    (session,) = system.db.sessions.find({"user_id": person.id})
    expires: datetime = session["expires_date"]
    return expires.replace(tzinfo=UTC) - datetime.now(UTC)


def unused_for(system: System, person: Person, time: timedelta) -> None:
    """As if none of this user's sessions had been in use for so long."""
    used = datetime.now(UTC) - time
    dates = {"used_date": used, "expires_date": used + LIFETIME}
    assert system.db.sessions.update_many({"user_id": person.id}, {"$set": dates}).matched_count


def is_whole(lasts: timedelta) -> bool:
    return LIFETIME - timedelta(minutes=1) < lasts <= LIFETIME


async def log_in(people: People, person: Person) -> Client:
    client = await people.open(1)
    made = await client.call("login", name=person.name, password=person.password)
    await client.call("authenticate", token=made["token"])
    return client


async def test_whoever_comes_back_has_thirty_days_again(system: System, people: People) -> None:
    ann = await people.register("ann")
    assert is_whole(left(system, ann))
    unused_for(system, ann, timedelta(days=29))
    await people.connect(ann)
    assert is_whole(left(system, ann))
    # An hour more or less is not written down.
    unused_for(system, ann, timedelta(minutes=50))
    await people.connect(ann)
    await asyncio.sleep(2.5)  # its sockets have been looked at
    assert not is_whole(left(system, ann))


async def test_a_socket_that_stays_open_keeps_its_session(system: System, people: People) -> None:
    ann, bob = await people.several("ann", "bob")
    client, _ = await people.connect(ann), await people.connect(bob)
    for person in (ann, bob):
        unused_for(system, person, timedelta(days=29))
    await eventually(lambda: is_whole(left(system, ann)) and is_whole(left(system, bob)), "they have thirty days again")
    assert (await client.call("get_user"))["id"] == ann.id


async def test_who_was_away_for_longer_logs_in_again(system: System, people: People) -> None:
    ann = await people.register("ann")
    unused_for(system, ann, LIFETIME + timedelta(seconds=1))
    late = await people.open()
    refusal = await refused(late.call("authenticate", token=ann.token))
    assert (refusal.code, refusal.reason) == (4010, "unauthenticated")
    assert await late.closed() == 4001
    again = await log_in(people, ann)
    assert [each["current"] for each in (await again.call("get_sessions"))["sessions"]] == [True]


async def test_an_expired_session_is_over_for_its_sockets_too(system: System, people: People) -> None:
    ann = await people.register("ann")
    client = await people.connect(ann)
    unused_for(system, ann, LIFETIME + timedelta(seconds=1))
    assert await client.closed() == 4002
