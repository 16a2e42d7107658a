"""Gateways killed, stopped and restarted while people talk: nothing acknowledged is lost, and all come back soon."""

from __future__ import annotations

import asyncio
from itertools import cycle, islice

import pytest

from tests.faults.installation import Installation
from tests.faults.rows import sized
from tests.faults.traffic import quantile, traffic

PEOPLE = sized(24, 300)
RATE = sized(40, 60)
KILLS = sized(2, 9)
RECONNECTED = 5.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(120, 900)), pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.row(1)
async def test_gateway_killed(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, voices=12)
        absences: list[float] = []
        for victim in islice(cycle(everything.gateways), KILLS):
            await busy.has_said(RATE)
            url = everything.url(everything.gateways.index(victim))
            gone = [asyncio.create_task(one.absence()) for one in busy.everybody if one.online and one.url == url]
            await everything.kill(victim)
            absences += await asyncio.gather(*gone)
            await everything.launch(victim)
        await busy.hush()
        await busy.all_is_told()
        await busy.agree()
        missing, doubled = busy.missing_and_doubled()
        figures["acknowledged messages"] = f"{len(busy.said)}, missing {len(missing)}, doubled {len(doubled)}"
        figures["kills"] = str(KILLS)
        figures["reconnected p99"] = f"{quantile(absences, 0.99):.2f} s of {len(absences)} clients"
        assert (missing, doubled) == ([], [])
        assert absences
        assert quantile(absences, 0.99) < RECONNECTED
