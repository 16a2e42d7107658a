"""Who connects and does not authenticate is not kept."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future

import pytest

from tests.client import Client
from tests.idle import Idle
from tests.rig import System


@pytest.mark.slow
async def test_ten_seconds_without_authenticate_are_all_one_gets(idle: Future[Idle]) -> None:
    outcome = await asyncio.wrap_future(idle)
    assert outcome.silent.code == 4003
    assert 9.5 < outcome.silent.seconds < 20
    assert outcome.pinging.code == 4003
    assert 9.5 < outcome.pinging.seconds - outcome.ping_at < 20


async def test_requests_lengthen_it_only_so_far(system: System) -> None:
    name = system.add_gateway(AUTHENTICATE_TIMEOUT="1.5", ANONYMOUS_LIMIT="2.5")
    await system.launch(name)
    try:
        async with await Client.connect(system.url(int(name.rpartition("-")[2]))) as client:
            begun = time.monotonic()
            while client.close_code is None and time.monotonic() < begun + 10:
                await client.send("ping")
                await asyncio.sleep(0.2)  # the pace of a client that keeps asking
            assert client.close_code == 4003
            assert 2.4 < time.monotonic() - begun < 9
    finally:
        await system.terminate(name)
