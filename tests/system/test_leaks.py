"""Nobody hears what it may not see, by whatever way, and all hear what they may; whoever lags behind.

Random steps by four users with five devices over two gateways and two of each service: roles, overwrites, categories,
members, bans, owners, messages, reactions, typing, nicks, invites, statuses, friends, questions, and devices that go
and come back. Now and then a process stands still for a moment, or a gateway hears late of the server's news.
A plain model says who sees what. Each name and each text has a word of its own: in whatever frame it comes, its hearer
must have been allowed to see its place. Each coming into sight of a channel and each going out of it is one event.

Hypothesis draws of each example but the seed: of 2,000 steps drawn one by one, two thirds would repeat others.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.faults.links import Links
from tests.faults.proxy import Proxy
from tests.rig import SERVICES, System
from tests.system.court import OWNER, USERS, Step
from tests.system.courtesies import KINDS, Courtesies

EXAMPLES, STEPS_EACH = int(os.environ.get("LEAK_EXAMPLES", "40")), 50
SEED = os.environ.get("LEAK_SEED")
"""Of the only example, for whoever looks into a failure, which names it."""
AT_ONCE = 5
"""Steps, after which everybody must agree."""
ENOUGH = 2_000
"""Steps, among which everything must have happened that the users ever try."""

OPENING = ("add_category", "add_role", "add_channel", "add_channel", "say")
"""What an example begins with, so that there is something to change."""
TAKING = ("hide", "give_roles", "drop_role", "set_rules", "kick", "ban")
SAYING = ("say", "type", "say", "type", "rename", "choose_status", "choose_status")


def drawn(chance: random.Random) -> list[Step]:
    """Every third time, somebody's sight is taken, and something is said that overtakes the news of it."""
    kinds: Sequence[str] = chance.choices(KINDS, k=AT_ONCE)
    if chance.random() < 1 / 3:
        kinds = ("trail", chance.choice(TAKING), *chance.sample(SAYING, AT_ONCE - 2))
        target, other = chance.randrange(1000), chance.randrange(1000)
        return [Step(kind, OWNER, target, other) for kind in kinds]
    # Most of what others try is refused.
    users = chance.choices([*USERS, OWNER, OWNER, OWNER], k=AT_ONCE)
    return [Step(*each, chance.randrange(1000), chance.randrange(1000)) for each in zip(kinds, users, strict=True)]


def by_owner(kind: str, chance: random.Random) -> Step:
    return Step(kind, OWNER, chance.randrange(1000), chance.randrange(1000))


@dataclass
class Run:
    """What all examples share, and what came of them."""

    system: System
    directory: Path
    proxies: Sequence[Proxy]
    seeds: set[int] = field(default_factory=set)
    performed: int = 0
    tried: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def new_seed(self, drawn: int) -> int:
        """The next that no other example has had: hypothesis likes some numbers."""
        while drawn in self.seeds:
            drawn += 1
        self.seeds.add(drawn)
        return drawn


class Machine(RuleBasedStateMachine):
    run: Run

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._court = Courtesies(self.run.system, self.run.directory, self.run.proxies)

    @initialize(drawn=st.integers(0, 2**64 - 1) if SEED is None else st.just(int(SEED)))
    def begin(self, drawn: int) -> None:
        self._seed = self.run.new_seed(drawn)
        self._chance = random.Random(self._seed)
        self._complete(self._court.begin())
        self._complete(self._court.perform([by_owner(kind, self._chance) for kind in OPENING]))

    @rule()
    def go_on(self) -> None:
        self._complete(self._court.perform(drawn(self._chance)))

    def _complete(self, work: Coroutine[None, None, None]) -> None:
        try:
            self._runner.run(work)
        except Exception as error:
            error.add_note(f"after {self._court.performed} steps; again: LEAK_EXAMPLES=1 LEAK_SEED={self._seed}")
            raise

    def teardown(self) -> None:
        self.run.performed += self._court.performed
        self.run.tried |= self._court.tried
        self.run.done |= self._court.done
        self._runner.run(self._court.end())
        self._runner.close()


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_nobody_hears_what_it_may_not_see(make_system: Callable[..., System], tmp_path: Path) -> None:
    system = make_system(replicas=dict.fromkeys(SERVICES, 2))
    with ExitStack() as stack:
        system.start_servers()
        links = stack.enter_context(Links())
        proxies = [links.add(Proxy(links, system.nats.port, number)) for number in range(2)]
        system.env |= {f"gateway-{number}": {"NATS_URL": proxy.url} for number, proxy in enumerate(proxies)}
        stack.callback(system.stop)
        system.launch_now(*system.names)
        run = Run(system, tmp_path, proxies)
        of_this_run = type("OfThisRun", (Machine,), {"run": run})
        # Again until all are done: hypothesis ends some examples early, and begins with the shortest there is.
        while (lacking := EXAMPLES * STEPS_EACH - run.performed) > 0:
            amount = 1 + lacking // STEPS_EACH
            as_many = settings(max_examples=amount, stateful_step_count=STEPS_EACH // AT_ONCE, database=None)
            run_state_machine_as_test(of_this_run, settings=as_many)
    assert run.performed >= EXAMPLES * STEPS_EACH
    assert run.performed < ENOUGH or run.tried == run.done, f"refused whenever it was tried: {run.tried - run.done}"
