"""Services killed in the midst of writing, and between a commit and its publication."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest

from deploy.processes import ProcessError
from tests.faults.crashing import STEPS, Dooms
from tests.faults.crowd import end
from tests.faults.installation import Installation
from tests.faults.rows import sized
from tests.faults.traffic import Traffic, quantile, traffic
from tests.rig import Fleet, System, eventually
from tests.secured import overstepped

PEOPLE, VOICES = sized(12, 60), 12
RATE = 20
"""Messages a second; at the end of some minutes every client's cache is compared with all of them."""

TROUBLE = sized(4.0, 2.0)
SLOWEST = sized(9.0, 3.0)
REPLICAS, STRUCK = 5, 2
"""So many at once at most: there is always one that lives."""

AWAY = 1.0
"""Seconds from a replica's death to its being started again."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(240, 3000)), pytest.mark.asyncio(loop_scope="module")]


async def struck(everything: Installation, busy: Traffic, step: str) -> tuple[str, float]:
    """The replica of messages that writes to some channel is killed at this step; its name, and the moment."""
    scope = f"channel:{random.choice(busy.channels)}"
    everything.dooms.lay(scope, step)
    await eventually(lambda: everything.dooms.blow(scope) is not None, "the blow", 20)
    blow = everything.dooms.blow(scope)
    assert blow is not None
    return blow.name, blow.at


async def replace_the_dead(everything: Installation) -> None:
    dead = [name for name, process in everything.processes.items() if not process.running]
    await everything.launch(*dead)


@pytest.mark.row(2)
async def test_service_killed_in_the_midst_of_writing(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, VOICES)
        kills: list[float] = []
        for step in islice(cycle(STEPS), sized(5, 5 * len(STEPS))):
            await busy.has_said(RATE // 2)
            _, killed = await struck(everything, busy, step)
            await asyncio.sleep(AWAY)
            await replace_the_dead(everything)
            await asyncio.sleep(TROUBLE)
            kills.append(killed)
        await busy.all_is_well(figures)
        lasted = [busy.trouble_lasted(killed, until) for killed, until in pairwise([*kills, time.monotonic()])]
        figures["kills"] = str(len(kills))
        figures["slowest answer"] = f"{busy.longest_answer:.2f} s"
        figures["errors for"] = f"{quantile(lasted, 0.5):.2f} s, at most {max(lasted):.2f} s"
        assert max(lasted) < TROUBLE
        assert busy.longest_answer < SLOWEST


@pytest.mark.row(7)
async def test_service_killed_between_commit_and_publication(tmp_path: Path, figures: dict[str, str]) -> None:
    """Each time what was committed is seen by all, though its writer is dead and nobody acknowledged it."""
    dooms = Dooms(tmp_path / "dooms")
    argv = {"messages": [sys.executable, "-m", "tests.faults.crashing", "messages"]}
    env = {"messages": {"DOOMS": str(tmp_path / "dooms")}}
    system = System(tmp_path, argv=argv, env=env, replicas={"messages": REPLICAS}, secured=True)
    await asyncio.to_thread(system.start)
    try:
        async with traffic(system, people=6, channels=STRUCK) as busy:
            keeping = asyncio.create_task(keep_alive(system))
            try:
                seen = await asyncio.gather(*(strike_again_and_again(busy, dooms, each) for each in busy.channels))
            finally:
                await end([keeping])
            await busy.all_is_well(figures)
    finally:
        await asyncio.to_thread(system.stop)
    assert overstepped(tmp_path / "log") == []
    took = [seconds for some in seen for seconds in some]
    figures["kills"] = str(len(took))
    figures["seen after"] = f"{quantile(took, 0.5):.2f} s, at most {max(took):.2f} s"
    assert max(took) < 5


async def keep_alive(fleet: Fleet) -> None:
    """Starts again whoever is dead, and again if one is struck before it has said that it is ready."""
    while True:
        dead = [name for name, process in fleet.processes.items() if not process.running]
        with suppress(ProcessError):
            await fleet.launch(*dead)
        await asyncio.sleep(0.05)


async def strike_again_and_again(busy: Traffic, dooms: Dooms, channel_id: str) -> list[float]:
    """Whichever replica writes to this channel, it is killed; seconds until what it wrote was seen by all."""
    speaker = busy.everybody[busy.channels.index(channel_id) % len(busy.everybody)]
    scope, seen = f"channel:{channel_id}", list[float]()
    for _ in range(sized(5, 1000 // STRUCK)):
        dooms.lay(scope, "after-commit")
        saying = asyncio.create_task(busy.say(speaker, channel_id))
        while (blow := dooms.blow(scope)) is None:
            if saying.done():  # it was committed together with what its writer was struck for
                saying = asyncio.create_task(busy.say(speaker, channel_id))
            await asyncio.sleep(0.01)
        content = await saying
        await eventually(lambda: all(content in one.heard for one in busy.everybody), "it is seen", 10)  # noqa: B023
        seen.append(max(one.heard[content] for one in busy.everybody) - blow.at)
    return seen
