"""What is taken for the history of a database that went back, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.gateway.interest import Interest
from services.gateway.upstream import HEADS_PER_REQUEST, Upstream
from shared.bus import Bus
from shared.journal.history import gone_back
from shared.scopes import user_scope
from shared.settings import Settings

BATCHES = 10
"""More than are compared at once."""


class Comparing(Upstream):
    """Notes what is compared, and answers when it is let."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        super().__init__(bus, settings)
        self.compared: list[int] = []
        self.answers = asyncio.Event()

    async def compare(self, revs: Mapping[str, int]) -> dict[str, int]:
        self.compared.append(len(revs))
        await self.answers.wait()
        return dict(revs)


async def test_what_was_forgotten_while_it_waited_is_compared_with_nothing() -> None:
    """Another history has begun: its heads lie behind what was seen of the one before, and nothing is lost by that."""
    settings = Settings(name="test")
    bus = Bus(settings, "gateway")
    upstream = Comparing(bus, settings)
    interest = Interest(bus, upstream, settings)
    feeds = [interest.follow(user_scope(f"{number}"), 7) for number in range(BATCHES * HEADS_PER_REQUEST)]
    comparing = asyncio.create_task(interest._compare(feeds))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    at_once = len(upstream.compared)
    assert 0 < at_once < BATCHES
    interest.forget_everything()
    upstream.answers.set()
    await comparing
    assert upstream.compared == [HEADS_PER_REQUEST] * at_once + [0] * (BATCHES - at_once)


def test_only_what_lies_behind_its_revision_has_gone_back() -> None:
    assert gone_back({"a": 3, "b": 3, "c": 0, "d": 1}, {"a": 3, "b": 2, "c": 0}) == {"b": 3}
