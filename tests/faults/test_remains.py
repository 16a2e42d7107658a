"""A service killed in the middle of clearing away: what it had begun is finished, once, whoever does it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from shared.member_names import named
from tests.faults.crashing import Dooms
from tests.rig import People, Room, System, eventually, promote, refused

MEMBERS = 120
MANY = 8_000
PATIENCE = 30.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Place:
    system: System
    dooms: Dooms
    people: People


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("remains")
    dooms = Dooms(directory / "dooms")
    argv = {kind: [sys.executable, "-m", "tests.faults.crashing", kind] for kind in ("guilds", "messages")}
    system = System(Path(directory), mongod, argv=argv, env={"*": {"DOOMS": str(directory / "dooms")}})
    await asyncio.to_thread(system.start)
    people = People(system)
    yield Place(system, dooms, people)
    await people.close()
    await asyncio.to_thread(system.stop)


def fill(system: System, room: Room, number: int, roles: list[str], prefix: str = "") -> list[str]:
    """So many more members, whose self scopes nobody holds."""
    ids = [f"{prefix}{room.server_id}.{each:06}" for each in range(number)]
    system.db.members.insert_many(
        {
            "server_id": room.server_id,
            "user_id": user_id,
            **named(None, "ghost", "Ghost"),
            "roles": roles,
            "joined_date": None,
            "rev": 1,
        }
        for user_id in ids
    )
    return ids


def told(system: System, user_id: str) -> list[dict[str, Any]]:
    """The `server_deleted` that stand in this user's scope, with their revisions."""
    entries = system.db.journal.find({"scope": f"self:{user_id}"})
    return [
        {**event["params"], "rev": entry["rev"]}
        for entry in entries
        for event in entry["events"]
        if event["name"] == "server_deleted"
    ]


async def killed_when(place: Place, name: str, condition: Callable[[], bool]) -> None:
    """Kills the process as soon as it is so."""
    await eventually(condition, "it begins", PATIENCE)
    await place.system.kill(name)


@pytest.mark.parametrize("step", ["after-insert", "after-outbox", "during-commit", "after-commit", "before-clear"])
async def test_a_server_is_cleared_away_whenever_its_service_dies(place: Place, step: str) -> None:
    """Each member is told exactly once, in the transaction that takes the membership."""
    system = place.system
    room = await place.people.room(new=True)
    ghosts = await asyncio.to_thread(fill, system, room, MEMBERS, [])
    doomed = f"self:{ghosts[MEMBERS // 2]}"
    place.dooms.lay(doomed, step)
    assert await room.owner.call("delete_server", server_id=room.server_id) == {}
    await eventually(lambda: place.dooms.blow(doomed) is not None, "the blow", PATIENCE)
    await eventually(lambda: not system.processes["guilds-0"].running, "its end")
    left = system.db.members.count_documents({"server_id": room.server_id})
    assert left < MEMBERS + 2
    # The outbox is cleared when there is time for it: the rest may be through by then.
    assert left or step == "before-clear"
    await system.launch("guilds-0")

    def done() -> bool:
        names = ("members", "channels", "roles")
        return not any(system.db[name].count_documents({"server_id": room.server_id}) for name in names)

    await eventually(done, "all is cleared away", PATIENCE)
    await eventually(lambda: not system.db.cascades.count_documents({}), "nothing is left to do", PATIENCE)
    for user_id in ghosts:
        assert told(system, user_id) == [{"server_id": room.server_id, "why": "deleted", "rev": 1}]
    for client, person in ((room.owner, room.owner_is), (room.member, room.member_is)):
        await client.event("server_deleted", server_id=room.server_id)
        assert len(told(system, person.id)) == len(client.heard("server_deleted")) == 1
    assert (await refused(room.member.call("get_server", server_id=room.server_id))).reason == "not_found"


async def test_a_role_is_taken_from_all_whenever_its_service_dies(place: Place) -> None:
    system = place.system
    room = await place.people.room(new=True)
    role = await promote(room, "manage_messages")
    await asyncio.to_thread(fill, system, room, MANY, [role["id"]])

    def holders() -> int:
        return system.db.members.count_documents({"server_id": room.server_id, "roles": role["id"]})

    await room.owner.call("delete_role", server_id=room.server_id, role_id=role["id"])
    await killed_when(place, "guilds-0", lambda: holders() < MANY)
    assert holders()
    await system.launch("guilds-0")
    assert (await room.member.call("get_server", server_id=room.server_id))["me"]["roles"] == []
    await eventually(lambda: not holders(), "nobody has it", PATIENCE)
    await eventually(lambda: not system.db.cascades.count_documents({}), "nothing is left to do", PATIENCE)


async def test_a_channel_is_emptied_whenever_its_service_dies(place: Place) -> None:
    system = place.system
    room = await place.people.room(new=True)
    second = await room.owner.call("add_channel", server_id=room.server_id, name="stays")
    for channel_id in (room.channel_id, second["id"]):
        system.db.messages.insert_many(
            {"channel_id": channel_id, "id": number, "live": True, "content": "x"} for number in range(1, MANY + 1)
        )

    def messages(channel_id: str) -> int:
        return system.db.messages.count_documents({"channel_id": channel_id})

    await room.owner.call("delete_channel", channel_id=room.channel_id)
    await killed_when(place, "messages-0", lambda: messages(room.channel_id) < MANY)
    assert messages(room.channel_id)
    await system.launch("messages-0")
    await eventually(lambda: not messages(room.channel_id), "nothing said in it is left", PATIENCE)
    await eventually(lambda: not system.db.cascades.count_documents({}), "nothing is left to do", PATIENCE)
    assert messages(second["id"]) == MANY


@pytest.mark.parametrize("ghosts", ["before", "behind"])
async def test_all_start_to_read_where_they_came_to_see_whenever_its_service_dies(place: Place, ghosts: str) -> None:
    """Those who had their turn and those who still wait for it are shown the same, also while nobody works it off."""
    system = place.system
    room = await place.people.room(new=True)
    named = {"server_id": room.server_id}
    await asyncio.to_thread(fill, system, room, MANY, [], "0" if ghosts == "before" else "z")
    (everyone,) = (await room.owner.call("get_server_roles", **named))["roles"]
    change = {**named, "role_id": everyone["id"]}
    await room.owner.call("update_role", **change, changes={"rules": []})
    for _ in range(3):
        await room.owner.call("add_message", channel_id=room.channel_id, content="@everyone")
    await room.owner.call("update_role", **change, changes={"rules": ["view_channel"]})

    def left() -> list[dict[str, Any]]:
        return list(system.db.cascades.find({"about.server_id": room.server_id}))

    def starts() -> int:
        return system.db.reading_starts.count_documents({**named, f"channels.{room.channel_id}": 3})

    async def place_of_member() -> tuple[int, int]:
        (state,) = (await room.member.call("get_read_states", **named))["read_states"]
        return state["read_id"], state["mentions"]

    await killed_when(place, "guilds-0", lambda: any(each.get("reached") for each in left()))
    assert left()
    assert 0 < starts() < MANY + 1
    mine = {**named, "user_id": room.member_is.id}
    assert system.db.reading_starts.count_documents(mine) == (ghosts == "behind")
    assert await place_of_member() == (3, 0)
    await system.launch("guilds-0")
    await eventually(lambda: not left(), "nothing is left to do", PATIENCE)
    assert starts() == MANY + 1
    assert await place_of_member() == (3, 0)
