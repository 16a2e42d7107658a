"""Who may do what: every public method, by everybody, as documented; and what is refused changes nothing.

What of each method is allowed stands in `permission_table`, what follows from that for whom in `permission_outcomes`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from docs.contracts import public_methods
from tests.client import RpcError
from tests.rig import System
from tests.system.permission_outcomes import Kind, Outcome, Way, expected
from tests.system.permission_scene import Cell, Scene
from tests.system.permission_table import TABLE, By, Need, Row

CASES = [(row, way) for row in TABLE for way in Way if way is Way.BY_ROLE or row.in_channel]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(system: System) -> AsyncIterator[Scene]:
    made = Scene(system)
    await made.begin()
    yield made
    await made.people.close()


def test_every_public_method_stands_in_the_table() -> None:
    assert {row.method for row in TABLE} == {method.name for method in public_methods()}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("row", "way"), CASES, ids=[f"{row.name}-{way}" for row, way in CASES])
async def test_each_may_do_what_is_documented(scene: Scene, row: Row, way: Way) -> None:
    await scene.arrange(row, way)
    surprises: list[str] = []
    for kind in Kind:
        cell = await Cell.prepare(scene, row, way, kind)
        surprises += [f"{kind}: {each}" for each in await _surprises(scene, cell, row, expected(row, kind, way))]
        await cell.settle()
    assert surprises == []


async def _surprises(scene: Scene, cell: Cell, row: Row, outcome: Outcome) -> list[str]:
    """What is not as it was expected of this call."""
    before = scene.traces(cell.scopes)
    error = await cell.call()
    if _seen(error) != outcome.data:
        return [f"{outcome.data} expected, {_seen(error)} seen"]
    if error is None:
        again = row.method.startswith("delete_") and row.needs != Need.ANYBODY and row.by is By.USUAL
        second = _seen(await cell.call()) if again else outcome.data
        return [] if second == outcome.data else [f"the second time: {second}"]
    after = scene.traces(cell.scopes)
    found = [] if after == before else [f"refused, and yet {before} became {after}"]
    if outcome.reason == "not_found":
        nowhere = await cell.call_nowhere()
        if nowhere is None or (nowhere.message, nowhere.data) != (error.message, error.data):
            found.append(f"{error} tells that there is something, for of nothing it is {nowhere}")
    return found


def _seen(error: RpcError | None) -> dict[str, object]:
    return {"reason": "ok"} if error is None else error.data
