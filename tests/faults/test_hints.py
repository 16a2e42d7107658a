"""Hints that never come, come twice or in another order, on every gateway: nobody is any the wiser for it."""

from __future__ import annotations

import time

import pytest

from tests.faults.installation import Installation
from tests.faults.proxy import Faults
from tests.faults.rows import sized
from tests.faults.traffic import traffic

PEOPLE, VOICES = sized(12, 60), 12
RATE = sized(40, 60)
SAID = sized(400, 6000)
SHARE = 0.01
EQUAL = 10.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(120, 600)), pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.row(6)
async def test_hints_lost_doubled_and_reordered(everything: Installation, figures: dict[str, str]) -> None:
    proxies = [proxy for own in everything.hints.values() for proxy in own]
    for proxy in proxies:
        proxy.done.clear()
    async with traffic(everything, PEOPLE) as busy:
        for proxy in proxies:
            proxy.faults = Faults(lost=SHARE, doubled=SHARE, swapped=SHARE)
        busy.talk(RATE, VOICES)
        await busy.has_said(SAID, 10 * SAID / RATE)
        await busy.hush()
        for channel_id in busy.channels:
            for proxy in proxies:
                proxy.faults = Faults()
                proxy.lose_next(f"ev.channel.{busy.server_id}.{channel_id}", 1)
            await busy.say(busy.everybody[0], channel_id)
        last = time.monotonic()
        await busy.all_is_told()
        equal = time.monotonic() - last
        await busy.all_is_well(figures)
    done = {fate: sum(proxy.done[fate] for proxy in proxies) for fate in ("lost", "doubled", "swapped", "passed")}
    figures["hints"] = ", ".join(f"{number} {fate}" for fate, number in done.items())
    figures["equal"] = f"{equal:.2f} s after the last change, whose hint was lost on all gateways"
    assert min(done.values()) > 0
    assert equal > 0.5, "the last hints were lost"
    assert equal < EQUAL
