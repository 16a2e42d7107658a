"""Gateways killed, stopped and restarted while people talk: nothing acknowledged is lost, and all come back soon."""

from __future__ import annotations

import asyncio
import signal
import time
from itertools import cycle, islice

import pytest

from tests.faults.installation import Installation
from tests.faults.rows import sized
from tests.faults.traffic import quantile, traffic

PEOPLE = sized(24, 60)
RATE = sized(40, 60)
KILLS = sized(2, 9)
RECONNECTED = 5.0
CALM, STOPPED = sized(4.0, 15.0), 15.0
EQUAL = 10.0
NOISE = sized(1.0, 0.25)
"""Seconds that a busy machine may add to anything."""


pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(120, 900)), pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.row(1)
async def test_gateway_killed(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, voices=12)
        absences: list[float] = []
        reads = 0
        for one in busy.everybody:
            one.app.recording.traffic.asked.clear()
        for victim in islice(cycle(everything.gateways), KILLS):
            await busy.has_said(RATE)
            url = everything.url(everything.gateways.index(victim))
            gone = [asyncio.create_task(one.absence()) for one in busy.everybody if one.online and one.url == url]
            await everything.kill(victim)
            absences += await asyncio.gather(*gone)
            for one in busy.everybody:
                asked = one.app.recording.traffic.asked
                reads += sum(method.startswith("get_") for method in asked)
                asked.clear()
            await everything.launch(victim)
        await busy.all_is_well(figures)
        figures["kills"] = str(KILLS)
        figures["reconnected p99"] = f"{quantile(absences, 0.99):.2f} s of {len(absences)} clients"
        figures["reads after reconnecting"] = str(reads)
        assert absences
        assert quantile(absences, 0.99) < RECONNECTED
        assert reads <= len(absences) / sized(2, 10), "they are told what they missed, and need not ask"


@pytest.mark.row(5)
async def test_gateway_stopped_for_a_while(everything: Installation, figures: dict[str, str]) -> None:
    async with traffic(everything, PEOPLE) as busy:
        busy.talk(RATE, voices=12)
        await asyncio.sleep(2)
        frozen, others = everything.url(0), [one for one in busy.everybody if one.url != everything.url(0)]
        before = time.monotonic()
        await asyncio.sleep(CALM)
        stopped = time.monotonic()
        everything.signal("gateway-0", signal.SIGSTOP)
        try:
            await asyncio.sleep(STOPPED)
        finally:
            everything.signal("gateway-0", signal.SIGCONT)
        went_on = time.monotonic()
        told = [one for one in busy.everybody if one.url == frozen]
        await busy.all_say(after=went_on)
        await busy.hush()
        await busy.all_is_told()
        equal = time.monotonic() - went_on
        usual = quantile(busy.lags(before, stopped, others), 0.99)
        meanwhile = quantile(busy.lags(stopped, went_on - 1, others), 0.99)
        await busy.all_is_well(figures)
        figures["others' p99"] = f"{meanwhile * 1000:.0f} ms, {usual * 1000:.0f} ms before"
        figures["equal"] = f"{equal:.1f} s after it went on, {len(told)} clients still there"
        assert told
        assert meanwhile < max(2 * usual, NOISE)
        assert equal < EQUAL
