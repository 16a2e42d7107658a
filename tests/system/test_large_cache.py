"""Coming back costs what was missed, and nothing for what is merely cached, be it little or much."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.embedded import Mongod
from tests.pruning import prune
from tests.rig import People, System
from tests.system.estate import CHANGES, CHANNELS_ADDED, MESSAGES, RENAMED, Estate, come_back, make_estate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HERE, OTHER = 0, 1
LARGE = {"servers": 40, "channels": 900, "users": 3_000}
SMALL = {"servers": 4, "channels": 20, "users": 60}

CLAIMS = 3
"""Frames that the positions of the large cache take, of at most 64 KiB each."""

OWN = 2
"""Reads of one's own user: whose token it is, and, for the first on a gateway, that one is there now."""

COMPARISONS = 3
"""How often a gateway that follows a scope anew looks at its head: for the client, on subscribing, a second later."""


@dataclass(frozen=True)
class Estates:
    system: System
    large: Estate
    small: Estate


@pytest.fixture(scope="module")
def estates(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Estates]:
    """What their system reads it reads for who comes back: nobody goes offline, no heads are compared by the clock."""
    env = {"*": {"DIGEST_INTERVAL": "3600"}, "gateway": {"STATUS_GRACE": "3600"}}
    directory = tmp_path_factory.mktemp("estates")
    with System(directory, mongod, env=env) as system:
        yield asyncio.run(_made(system, directory))


async def _made(system: System, directory: Path) -> Estates:
    people = People(system)
    try:
        large = await make_estate(people, directory / "large", **LARGE)
        small = await make_estate(people, directory / "small", **SMALL)
    finally:
        await people.close()
    return Estates(system, large, small)


async def change(system: System, *estates: Estate) -> None:
    people = People(system)
    await asyncio.gather(*(estate.change(people) for estate in estates))
    await people.close()


async def test_an_unchanged_cache_takes_a_few_frames_and_reads_no_entity(estates: Estates) -> None:
    """On a gateway that knows nothing yet, and then on one that does."""
    estate = estates.large
    await estates.system.restart(f"gateway-{OTHER}")
    cold = await come_back(estate, OTHER)
    assert cold.traffic.asked == ["authenticate"] + ["resume"] * (CLAIMS - 1)
    assert (cold.traffic.sent, cold.traffic.received) == (CLAIMS, 2 * CLAIMS)  # each has a reply, and is `resumed`
    assert cold.traffic.bytes_of_news < 1_500
    assert cold.reads.of("messages") == 0
    assert cold.reads.of("users") <= OWN
    # Memberships, and once for each gateway the views: a server's owner, its one role, its channels; with their heads.
    assert cold.reads.of("servers") == cold.reads.of("roles") == LARGE["servers"]
    assert cold.reads.of("members") == 2 * LARGE["servers"]
    assert cold.reads.of("channels") == 2 * LARGE["channels"]
    assert cold.reads.of("journal") <= 1 + LARGE["servers"]
    assert cold.reads.heads <= COMPARISONS * estate.scopes

    warm = await come_back(estate, OTHER)
    assert warm.traffic.asked == cold.traffic.asked
    assert warm.reads.of("messages", "servers", "roles", "channels") == 0
    assert warm.reads.of("users") == warm.reads.of("journal") == 1
    assert warm.reads.of("members") == 2 * LARGE["servers"]


async def test_what_was_missed_comes_and_nothing_else_at_the_same_cost(estates: Estates) -> None:
    await change(estates.system, estates.large, estates.small)
    await estates.system.restart(f"gateway-{OTHER}")
    large, small = await come_back(estates.large, OTHER), await come_back(estates.small, OTHER)
    for back in (large, small):
        told = Counter(name for name, _ in back.traffic.told)
        assert told == {"message_added": MESSAGES, "channel_added": CHANNELS_ADDED, "user_changed": RENAMED}
        assert len({str(each) for each in back.traffic.told}) == CHANGES
        assert set(back.traffic.asked) <= {"authenticate", "resume"}
        assert back.reads.of("messages") == 0
        assert back.reads.of("users") <= OWN
    assert large.traffic.bytes_of_news == pytest.approx(small.traffic.bytes_of_news, rel=0.02)
    for back, size in ((large, LARGE), (small, SMALL)):
        # The missed entries, to prove that they are all there, and some of them again when it was their turn to be
        # told; and one head for each server whose view the gateway takes.
        assert CHANGES < back.reads.of("journal") - size["servers"] <= 1 + 2 * CHANGES


async def test_what_was_pruned_is_read_and_what_was_quiet_is_not(estates: Estates) -> None:
    """A server that is stale makes all its channels stale: asked for, those where nothing was said read nothing."""
    estate = estates.large
    await change(estates.system, estate)
    await prune(estates.system)
    back = await come_back(estate, OTHER)
    assert back.traffic.asked.count("get_message_chunk") > 2 * MESSAGES
    in_changed_channels = MESSAGES * (1 + estate.times_changed)
    assert MESSAGES <= back.reads.of("messages") <= in_changed_channels
    assert back.reads.of("users") <= 2 * CHANGES
