"""The one property above all: what a client built from replies and events equals what a fresh read shows.

Random steps by three users with five devices on two gateways, alone or several at once. The devices are the Python
client's. They go at any moment, with their caches saved, and come back later on the other gateway; meanwhile people
talk, the journal is pruned, all processes are ended and started anew. After each step every device that is here must
come to hold exactly what a new connection of its user reads, and each scope's revs must have come in order, once, none
missing. What was acknowledged must stand there as acknowledged. And coming back must cost what was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.rig import SERVICES, System
from tests.system.devices import DEVICES, Step
from tests.system.world import World

KINDS = (
    ["say"] * 6
    + ["say_twice", "say_again", "say_many", "edit", "edit", "delete", "read", "rename"]
    + ["react", "react", "unreact", "direct", "direct", "leave_direct"]
    + ["befriend", "befriend", "block", "part", "part", "set_settings"]
    + ["add_server", "add_channel", "add_channel", "join", "join", "join", "leave"]
    + ["renew", "go", "go", "go", "come", "come", "come", "prune", "restart"]
)
STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    device=st.integers(0, len(DEVICES) - 1),
    target=st.integers(0, 11),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
)


class Machine(RuleBasedStateMachine):
    """Hypothesis' side: it draws the steps, and an event loop of its own runs them."""

    system: System
    directory: Path
    held: list[Step]
    """The steps after which everybody agreed."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._world = World(self.system, self.directory)
        self._failed = False
        try:
            self._run(self._world.begin())
        except BaseException:
            self.teardown()
            raise

    @rule(step=STEPS)
    def one(self, step: Step) -> None:
        self._run(self._world.perform([step]))
        self.held.append(step)

    @rule(steps=st.lists(STEPS, min_size=2, max_size=6))
    def several_at_once(self, steps: list[Step]) -> None:
        self._run(self._world.perform(steps))
        self.held.extend(steps)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._runner.run(work)
        except BaseException:
            self._failed = True
            raise

    def teardown(self) -> None:
        try:
            if not self._failed:
                self._runner.run(self._world.everybody_comes_back())
        finally:
            self._runner.run(self._world.end())
            self._runner.close()


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("affinity", ["on", "off"])
def test_every_cache_equals_a_fresh_read(affinity: str, make_system: Callable[..., System], tmp_path: Path) -> None:
    """With affinity off, and two of each service, what is written to one scope comes from all of them."""
    replicas = dict.fromkeys(SERVICES, 2) if affinity == "off" else {}
    system = make_system(replicas=replicas, env={"*": {"AFFINITY": affinity}}).start()
    held: list[Step] = []
    on_this_system = type("OnThisSystem", (Machine,), {"system": system, "directory": tmp_path, "held": held})
    run_state_machine_as_test(on_this_system)
    assert held
