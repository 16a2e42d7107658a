"""Those who try every door: pages of other sites, tokens in URLs, operators in fields, what is others'."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, RpcError
from tests.fuzz.hostile import OPERATORS
from tests.rig import People, Room, System, general
from tests.secured import overstepped
from tests.system.test_bad_input import CHANGED, METHODS, ask_all, stored, valid
from tests.system.test_handshakes import status_of

ORIGINS = ("https://elsewhere.example", "null", "file://", "https://127.0.0.1")
UNKNOWN = ("$where", "$set", "_id", "user", "rev", "")
OF_A_SERVER = {"server_id", "channel_id"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.row(16)
async def test_intruders(tmp_path: Path, figures: dict[str, str]) -> None:
    with System(tmp_path, env={"*": {"LOG_LEVEL": "debug"}}, secured=True) as system:
        people = People(system)
        room = await people.room(new=True)
        eve = await people.register("eve")
        stranger = await people.connect(eve, 1)
        theirs = await things_of(room, stranger)
        before = stored(system)
        doors = [await status_of(system.url(), Origin=origin) for origin in ORIGINS]
        doors += [await status_of(f"{system.url()}?token={eve.token}")]
        outcomes: Counter[str] = Counter()
        for method, fields in METHODS.items():
            good = valid(room, method)
            broken = [{**good, name: each} for name in fields for each in fields[name].bad() if each in OPERATORS]
            broken += [{**good, name: 1} for name in UNKNOWN]
            broken += [{**good, "changes": changes} for changes in broken_changes(method)]
            outcomes.update(map(outcome_of, await ask_all(room, [(method, params) for params in broken])))
            if fields.keys() & OF_A_SERVER and not method.startswith("leave_"):
                outcomes.update(map(outcome_of, await stranger.batch((method, good))))
        outcomes.update(map(outcome_of, await stranger.batch(*theirs)))
        (session,) = system.db.sessions.find({"user_id": room.owner_is.id})
        assert await stranger.call("delete_session", session_id=session["_id"]) == {}
        assert stored(system) == before, "nothing was changed"
        assert (await room.owner.call("ping"))["time"]
        await people.close()
        secrets = [
            secret for person in (room.owner_is, room.member_is, eve) for secret in (person.token, person.password)
        ]
        logs = logs_below(tmp_path)
        spoken = [secret for secret in secrets for log in logs if secret in log]
        figures["requests"] = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
        figures["handshakes"] = f"{doors.count(403)} of {len(ORIGINS)} foreign origins and the token in the URL refused"
        figures["secrets in logs"] = f"{len(spoken)}, in {sum(map(len, logs)) >> 10} KiB at level debug"
        assert doors == [403] * len(ORIGINS) + [400]
        assert outcomes.keys() <= {"invalid_params", "not_found"}
        assert not spoken
        assert overstepped(tmp_path / "log") == []


def broken_changes(method: str) -> list[dict[str, Any]]:
    """Operators in each field of `changes`, and fields that nobody may set."""
    fields = CHANGED.get(method, {})
    operators = [{name: each} for name in fields for each in fields[name].bad() if each in OPERATORS]
    return operators + [{name: 1} for name in UNKNOWN if fields]


async def things_of(room: Room, stranger: Client) -> list[tuple[str, dict[str, Any]]]:
    """What a stranger asks of a server and a channel of their own, with ids of the room's."""
    own = {"server_id": (await stranger.call("add_server", name="Lair"))["id"]}
    channel_id = await general(stranger, own["server_id"])
    role = await room.owner.call("add_role", server_id=room.server_id, name="keepers", color="", rules=[])
    category = await room.owner.call("add_category", server_id=room.server_id, name="kitchen")
    await room.owner.call("add_message", channel_id=room.channel_id, content="private")
    overwrite = {"role_id": role["id"], "allow": ["view_channel"], "deny": []}
    said = {"channel_id": channel_id, "message_id": 1}
    return [
        ("add_channel", {**own, "name": "x", "category_id": category["id"]}),
        ("update_channel", {"channel_id": channel_id, "changes": {"category_id": category["id"]}}),
        ("update_channel", {"channel_id": channel_id, "changes": {"roles": [overwrite]}}),
        ("update_category", {**own, "category_id": category["id"], "changes": {"name": "x"}}),
        ("update_role", {**own, "role_id": role["id"], "changes": {"name": "x"}}),
        ("update_member", {**own, "user_id": room.owner_is.id, "changes": {"nick": "x"}}),
        ("update_message", {**said, "content": "x"}),
        ("delete_message", said),
        ("add_reaction", {**said, "emoji": "👍"}),
        ("add_message", {"channel_id": channel_id, "content": "x", "reply_to": 1}),
    ]


def logs_below(folder: Path) -> list[str]:
    """Of our processes, and of mongod and nats-server."""
    return [path.read_text(errors="replace") for path in folder.rglob("*.log")]


def outcome_of(answer: Any) -> str:
    return answer.reason if isinstance(answer, RpcError) else "answered"
