"""Nobody hears what it may not see, by whatever way, and all hear what they may; whoever lags behind.

Random steps by four users with five devices over two gateways and two of each service: roles, overwrites, categories,
members, bans, owners, messages, reactions, typing, nicks, invites, questions, and devices that go and come back. Now
and then a process stands still for a moment.
A plain model says who sees what. Each name and each text has a word of its own: in whatever frame it comes, its hearer
must have been allowed to see its place. Each coming into sight of a channel and each going out of it is one event.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.rig import SERVICES, System
from tests.system.intrigues import Step
from tests.system.pryings import KINDS, Pryings

STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    user=st.integers(0, 3),
    target=st.integers(0, 1000),
    other=st.integers(0, 1000),
)
EXAMPLES, STEPS_EACH = int(os.environ.get("LEAK_EXAMPLES", "10")), 50


class Machine(RuleBasedStateMachine):
    """`held` are the steps after which nobody had heard more than it may, nor less."""

    system: System
    directory: Path
    held: list[Step]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._intrigues = Pryings(self.system, self.directory)
        try:
            self._runner.run(self._intrigues.begin())
        except BaseException:
            self.teardown()
            raise

    @rule(steps=st.lists(STEPS, min_size=4, max_size=4))
    def steps(self, steps: list[Step]) -> None:
        self._runner.run(self._intrigues.perform(steps))
        self.held.extend(steps)

    def teardown(self) -> None:
        self._runner.run(self._intrigues.end())
        self._runner.close()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nobody_hears_what_it_may_not_see(make_system: Callable[..., System], tmp_path: Path) -> None:
    system = make_system(replicas=dict.fromkeys(SERVICES, 2)).start()
    held: list[Step] = []
    on_this_system = type("OnThisSystem", (Machine,), {"system": system, "directory": tmp_path, "held": held})
    as_many = settings(max_examples=EXAMPLES, stateful_step_count=STEPS_EACH // 4 + 1)
    run_state_machine_as_test(on_this_system, settings=as_many)
    assert held
