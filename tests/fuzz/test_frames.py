"""Texts that are nearly JSON-RPC: the parser never raises, and answers what the specification says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.gateway import frames
from services.gateway.jsonrpc import Incoming, parse
from shared.errors import InvalidParams, InvalidRequest, MethodNotFound, ParseError
from tests.client import Client
from tests.fuzz.hunt import hunt, kept, read
from tests.fuzz.scene import Scene
from tests.fuzz.wire import TEXTS, expected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

OURS = (ParseError, InvalidRequest, MethodNotFound, InvalidParams)


def parse_and_compare(text: str) -> None:
    frame = parse(text)
    for request in frame.requests:
        assert request.named_scopes is not None
        assert json.loads(answer(request))["jsonrpc"] == "2.0"
    wanted = expected(text)
    if wanted is not None:
        assert [kind(request) for request in frame.requests] == [name for name, _ in wanted]
        assert all(
            same(request.request_id, number) for request, (_, number) in zip(frame.requests, wanted, strict=True)
        )


def answer(request: Incoming) -> bytes:
    if request.error is None:
        assert request.method is not None
        return frames.result(request.request_id, b"{}")
    assert isinstance(request.error, OURS)
    return frames.failure(request.request_id, request.error.wire())


def kind(request: Incoming) -> str:
    if isinstance(request.error, ParseError | InvalidRequest):
        assert request.answered
        return request.error.reason
    return "request" if request.answered else "notification"


def same(mine: Any, sent: Any) -> bool:
    """JSON promises no more of a number than a double holds."""
    if isinstance(mine, int | float) and isinstance(sent, int | float):
        return float(mine) == float(sent)
    return bool(mine == sent)


async def exchange(url: str, text: str) -> None:
    """All that is to be answered is, and nothing else, under the ids that were sent."""
    wanted = expected(text)
    answers: list[Any] = []
    client = await Client.connect(url)
    try:
        await client.send_raw(text)
        if any(name != "notification" for name, _ in wanted or []):
            answered = await client.answer()
            answers = answered if isinstance(answered, list) else [answered]
        assert (await client.call("ping"))["time"]
    finally:
        await client.close()
    for each in answers:
        assert each["jsonrpc"] == "2.0"
        assert "result" in each or each["error"]["data"]["reason"] != "internal", each
    if wanted is not None:
        ids = [number for name, number in wanted if name != "notification"]
        assert len(answers) == len(ids)
        assert all(any(same(each["id"], number) for number in ids) for each in answers)


@pytest.mark.parametrize("path", kept("frames"), ids=lambda path: path.stem)
def test_what_was_kept(scene: Scene, path: Path) -> None:
    parse_and_compare(read(path))
    asyncio.run(exchange(scene.system.url(), read(path)))
    scene.look_around()


def test_the_parser() -> None:
    hunt("frames", TEXTS, parse_and_compare, examples=100, share=0.05)


def test_the_gateway(scene: Scene) -> None:
    with asyncio.Runner() as runner:

        def attempt(text: str) -> None:
            runner.run(exchange(scene.system.url(), text))
            scene.look_around()

        hunt("frames", TEXTS, attempt, examples=40, share=0.1)
