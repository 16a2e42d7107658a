"""Nobody hears what it may not see, by whatever way, and all hear what they may; whoever lags behind.

Random steps by four users with five devices over two gateways and two of each service: roles, overwrites, categories,
members, bans, owners, messages, reactions, typing, nicks, invites, statuses, friends, questions, and devices that go
and come back. Now and then a process stands still for a moment, or a gateway hears late of the server's news.
A plain model says who sees what. Each name and each text has a word of its own: in whatever frame it comes, its hearer
must have been allowed to see its place. Each coming into sight of a channel and each going out of it is one event.

Chance alone draws the steps, without hypothesis: of 2,000 that it draws two thirds are repetitions of others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.rig import SERVICES, System
from tests.system.court import OWNER, USERS, Step
from tests.system.courtesies import KINDS, Courtesies

EXAMPLES, STEPS_EACH = int(os.environ.get("LEAK_EXAMPLES", "40")), 50
SEED = int(os.environ.get("LEAK_SEED") or random.randrange(1 << 32))
"""Of the first example; each has the next. A failure names the one to begin with."""
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


async def live(court: Courtesies, seed: int) -> None:
    """One example."""
    chance = random.Random(seed)
    try:
        await court.begin()
        await court.perform([by_owner(kind, chance) for kind in OPENING])
        while court.performed < STEPS_EACH:
            await court.perform(drawn(chance))
    except Exception as error:
        error.add_note(f"after {court.performed} steps of an example; again: LEAK_EXAMPLES=1 LEAK_SEED={seed}")
        raise
    finally:
        await court.end()


@pytest.mark.slow
@pytest.mark.timeout(14_400)
async def test_nobody_hears_what_it_may_not_see(make_system: Callable[..., System], tmp_path: Path) -> None:
    system = make_system(replicas=dict.fromkeys(SERVICES, 2))
    performed, tried, done = 0, set[str](), set[str]()
    with ExitStack() as stack:
        system.start_servers()
        proxies = [stack.enter_context(Proxy(system.nats.url, number)) for number in range(2)]
        system.env |= {f"gateway-{number}": {"NATS_URL": proxy.url} for number, proxy in enumerate(proxies)}
        stack.callback(system.stop)
        system.launch_now(*system.names)
        for seed in range(SEED, SEED + EXAMPLES):
            court = Courtesies(system, tmp_path, proxies)
            await live(court, seed)
            performed, tried, done = performed + court.performed, tried | court.tried, done | court.done
    assert performed == EXAMPLES * STEPS_EACH
    assert performed < ENOUGH or tried == done, f"refused whenever it was tried: {tried - done}"
