"""Requests that wait for a replica which will never answer."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.under_way import UnderWay
from shared.errors import Unavailable


async def ask(under_way: UnderWay, instance: str, answer: asyncio.Future[str]) -> str:
    async with under_way.at(instance, "0"):
        return await answer


async def test_only_what_was_there_at_two_looks_is_ended() -> None:
    under_way, loop = UnderWay(), asyncio.get_running_loop()
    answers = [loop.create_future() for _ in range(3)]
    dead = asyncio.ensure_future(ask(under_way, "a", answers[0]))
    another = asyncio.ensure_future(ask(under_way, "b", answers[1]))
    await asyncio.sleep(0)
    assert under_way.look() == {}
    newer = asyncio.ensure_future(ask(under_way, "a", answers[2]))
    await asyncio.sleep(0)
    lingering = under_way.look()
    assert {instance: len(waiting) for instance, waiting in lingering.items()} == {"a": 1, "b": 1}
    under_way.end("a", lingering["a"])
    with pytest.raises(Unavailable):
        await dead
    for answer in answers[1:]:
        answer.set_result("answered")
    assert {await another, await newer} == {"answered"}
    under_way.end("b", lingering["b"])
    assert under_way.look() == under_way.look() == {}
