"""A service struck at every step of a commit: what was acknowledged reaches everybody, once, and nothing stays blocked.

In each round all replicas of messages and of guilds are struck but one of each, one after the other, each at the step
it is told to. Then either somebody else writes to the scope at once (it must not be blocked), or nobody does (the
change, if it was committed, must come out all the same); and the dead are started again. Who is spared changes from
round to round, so that whoever sweeps the outbox in one round dies in the next.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest
import pytest_asyncio

from deploy.embedded import Mongod
from tests.faults.crashing import COMMITTED, STEPS, UNCOMMITTED, Blow, Dooms
from tests.faults.crowd import PATIENCE, end, quantiles
from tests.faults.rows import sized
from tests.faults.stage import Change, Stage, staged
from tests.rig import People, System, eventually

ROUNDS = sized(10, 20)
REPLICAS = {"messages": 5, "guilds": 2}
"""Five kills a round."""

FROZEN_AT = ("after-insert", "after-outbox", "after-commit")
FROZEN_FOR = 2.5
"""Longer than MongoDB lets a transaction live."""

LONGEST_BLOCKED = 3.0
_ATTEMPTS, _SCOPES = 4, 30
_SECOND_PROBE = 0.5
_LATE = 0.3
_POLL = 0.005

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
logger = logging.getLogger(__name__)


@dataclass
class Case:
    """One blow: `make` finds something to do in which a process is to be struck at `step`."""

    make: Callable[[], Change]
    step: str
    probed: bool = False
    struck: tuple[Change, Blow] | None = None

    @property
    def change(self) -> Change:
        assert self.struck is not None
        return self.struck[0]

    @property
    def blow(self) -> Blow:
        assert self.struck is not None
        return self.struck[1]


@dataclass
class Round:
    """Some blows, one after the other; `spared` are the processes that live on."""

    stage: Stage
    cases: Sequence[Case]
    spared: Sequence[str]
    signal: signal.Signals = signal.SIGKILL
    blocked: list[float] = field(default_factory=list)
    healed: list[float] = field(default_factory=list)

    async def kill(self) -> None:
        """All of it: blows, writes, healing, and new life."""
        for case in self.cases:
            await self.strike(case)
            victim = self.stage.system.processes[case.blow.name]
            await eventually(lambda victim=victim: not victim.running, "its end")  # type: ignore[misc]
            assert victim.ending == "ended by signal 9"
        starting = asyncio.create_task(self.stage.system.launch(*(case.blow.name for case in self.cases)))
        await asyncio.gather(*(self.probe(case) for case in self.cases if case.probed))
        await asyncio.gather(*(self.heal(case) for case in self.cases))
        await starting

    async def strike(self, case: Case) -> None:
        """Writes to one scope after another: to which replica the requests about it go is not for us to say."""
        for _ in range(_SCOPES):
            change = case.make()
            self.stage.dooms.lay(change.scope, case.step, self.signal, self.spared)
            if (blow := await self.struck(change, case.step)) is not None:
                case.struck = change, blow
                return
        raise AssertionError(f"nobody comes to {case.step}")

    async def struck(self, change: Change, step: str) -> Blow | None:
        """Writes until a process is struck, or until it seems that only the spared serve this scope."""
        dooms, attempts = self.stage.dooms, list[asyncio.Task[Any]]()
        while (blow := dooms.blow(change.scope)) is None:
            if all(attempt.done() for attempt in attempts):
                if len(attempts) == _ATTEMPTS:
                    break
                attempts.append(self.stage.start(change, change.write))
            await asyncio.sleep(_POLL)
        if blow is None and step == "before-clear":
            await asyncio.sleep(_LATE)  # it comes after the acknowledgement
        if blow is None and not dooms.lift(change.scope):
            await eventually(lambda: dooms.blow(change.scope) is not None, "the blow")
        return dooms.blow(change.scope)

    async def probe(self, case: Case) -> None:
        """Somebody else writes to the scope; a second one too if the first seems to have been lost with a process."""
        under_way: list[asyncio.Task[Any]] = []
        for write in case.change.probes:
            under_way.append(self.stage.start(case.change, write))
            finished, _ = await asyncio.wait(under_way, timeout=_SECOND_PROBE, return_when=asyncio.FIRST_COMPLETED)
            if finished:
                break
        finished, _ = await asyncio.wait(under_way, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        took = time.monotonic() - case.blow.at
        assert finished, f"{case.change.scope} is blocked by a kill {case.step}"
        self.blocked.append(took)

    async def heal(self, case: Case) -> None:
        """Whatever was committed to the scopes comes to those who hear them."""
        while True:
            heads = await asyncio.to_thread(self.heads, case.change)
            behind = {
                scope: f"at {device.cache.position(scope)} of {head}"
                for scope, head in heads.items()
                for device in case.change.hearers[scope]
                if device.cache.position(scope) < head
            }
            took = time.monotonic() - case.blow.at
            if not behind:
                break
            assert took < PATIENCE, f"a blow {case.step} keeps {behind}"
            await asyncio.sleep(_POLL)
        if case.step in COMMITTED and not case.probed:
            self.healed.append(took)

    def heads(self, change: Change) -> dict[str, int]:
        newest = (
            self.stage.system.db.journal.find_one({"scope": scope}, sort=[("rev", -1)], projection=["scope", "rev"])
            for scope in change.hearers
        )
        return {entry["scope"]: entry["rev"] for entry in newest if entry}

    def killed_where_they_should(self) -> None:
        for case in self.cases:
            for scope, rev, request in case.blow.entries:
                found = self.stage.system.db.journal.find_one({"scope": scope, "rev": rev, "by.request": request})
                if case.step in COMMITTED:
                    assert found, f"killed {case.step}, but {scope} {rev} was not committed"
                if case.step in UNCOMMITTED:
                    assert not found, f"killed {case.step}, but {scope} {rev} was committed"


def planned(stage: Stage, number: int) -> Round:
    """Each step has its turn; after a commit, every other time nobody writes to the scope any more."""
    cases: list[Case] = []
    for service, replicas in REPLICAS.items():
        for turn in range(number * (replicas - 1), (number + 1) * (replicas - 1)):
            lap, place = divmod(turn, len(STEPS))
            probed = STEPS[place] not in COMMITTED or lap % 2 == 1
            cases.append(Case(_maker(stage, service, turn + lap), STEPS[place], probed))
    return Round(stage, cases, [f"{service}-{number % replicas}" for service, replicas in REPLICAS.items()])


def _maker(stage: Stage, service: str, turn: int) -> Callable[[], Change]:
    return lambda: stage.guild(turn) if service == "guilds" else stage.message(turn)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("stage")
    argv = {service: [sys.executable, "-m", "tests.faults.crashing", service] for service in REPLICAS}
    env = {service: {"DOOMS": str(directory / "dooms")} for service in REPLICAS}
    with System(directory, mongod, replicas=REPLICAS, argv=argv, env=env) as system:
        people = People(system)
        everything = await staged(system, people, Dooms(directory / "dooms"))
        yield everything
        await end(list(chain(*everything.under_way.values())))
        await everything.crowd.disperse()
        await people.close()


async def all_is_well(stage: Stage) -> float:
    """All hold the same, and what was acknowledged; returns the seconds that everybody's hearing of it took at most."""
    await stage.acknowledged()
    await stage.crowd.nothing_is_lost_or_doubled()
    await stage.crowd.agree()
    logger.info("from acknowledgement to everybody %s", quantiles(stage.crowd.lags))
    return max(stage.crowd.lags)


@pytest.mark.timeout(400)
async def test_killed_at_every_step_of_a_commit(stage: Stage) -> None:
    stage.talk()
    rounds = [planned(stage, number) for number in range(ROUNDS)]
    for each in rounds:
        await each.kill()
    assert await all_is_well(stage) < stage.crowd.patience + _POLL
    for each in rounds:
        each.killed_where_they_should()
    blocked = sorted(chain(*(each.blocked for each in rounds)))
    logger.info("blocked %s", quantiles(blocked))
    # One that is measured while the machine does something else is none of ours; each is bounded by PATIENCE.
    assert blocked[-2] <= LONGEST_BLOCKED, f"scopes were blocked for {blocked[-5:]} s"
    logger.info("healed without a write %s", quantiles(chain(*(each.healed for each in rounds))))


async def test_frozen_in_the_middle_of_a_commit(stage: Stage) -> None:
    """Who wakes up finds its transaction gone, and must not go on from where it thinks it was."""
    stage.talk()

    async def freeze(service: str, turn: int, step: str) -> None:
        case = Case(_maker(stage, service, turn), step)
        await Round(stage, [case], [], signal.SIGSTOP).strike(case)
        await asyncio.sleep(FROZEN_FOR)
        stage.system.signal(case.blow.name, signal.SIGCONT)
        for write in (case.change.write, *case.change.probes) * 2:
            await write()

    for turn, step in enumerate(FROZEN_AT):
        await asyncio.gather(*(freeze(service, turn, step) for service in REPLICAS))
    assert await all_is_well(stage) < stage.crowd.patience + _POLL
