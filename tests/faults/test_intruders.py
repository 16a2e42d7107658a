"""Those who try every door: pages of other sites, tokens in URLs, operators in fields, what is others'."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import Mongod
from tests.client import RpcError
from tests.fuzz.hostile import OPERATORS
from tests.rig import People, System
from tests.system.test_bad_input import METHODS, ask_all, stored, valid
from tests.system.test_handshakes import status_of

ORIGINS = ("https://elsewhere.example", "null", "file://", "https://127.0.0.1")
UNKNOWN = ("$where", "$set", "_id", "user", "rev", "")
OF_A_SERVER = {"server_id", "channel_id"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.row(16)
async def test_intruders(tmp_path: Path, mongod: Mongod, figures: dict[str, str]) -> None:
    with System(tmp_path, mongod, env={"*": {"LOG_LEVEL": "debug"}}) as system:
        people = People(system)
        room = await people.room(new=True)
        eve = await people.register("eve")
        stranger = await people.connect(eve, 1)
        before = stored(system)
        doors = [await status_of(system.url(), Origin=origin) for origin in ORIGINS]
        doors += [await status_of(f"{system.url()}?token={eve.token}")]
        outcomes: Counter[str] = Counter()
        for method, fields in METHODS.items():
            good = valid(room, method)
            broken = [{**good, name: each} for name in fields for each in fields[name].bad() if each in OPERATORS]
            broken += [{**good, name: 1} for name in UNKNOWN]
            outcomes.update(map(outcome_of, await ask_all(room, [(method, params) for params in broken])))
            if fields.keys() & OF_A_SERVER and not method.startswith("leave_"):
                outcomes.update(map(outcome_of, await stranger.batch((method, good))))
        assert stored(system) == before, "nothing was changed"
        assert (await room.owner.call("ping"))["time"]
        await people.close()
        secrets = [
            secret for person in (room.owner_is, room.member_is, eve) for secret in (person.token, person.password)
        ]
        logs = [path.read_text(errors="replace") for path in (tmp_path / "log").glob("*.log")]
        spoken = [secret for secret in secrets for log in logs if secret in log]
        figures["requests"] = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
        figures["handshakes"] = f"{doors.count(403)} of {len(ORIGINS)} foreign origins and the token in the URL refused"
        figures["secrets in logs"] = f"{len(spoken)}, in {sum(map(len, logs)) >> 10} KiB at level debug"
        assert doors == [403] * len(ORIGINS) + [400]
        assert outcomes.keys() <= {"invalid_params", "not_found"}
        assert not spoken


def outcome_of(answer: Any) -> str:
    return answer.reason if isinstance(answer, RpcError) else "answered"
