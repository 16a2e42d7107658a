"""A database that goes back to what it was: under a new epoch all is dropped, and without one nobody goes on."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.faults.traffic import Traffic, traffic
from tests.rig import System, eventually

PEOPLE, VOICES, RATE = 6, 3, 20
NOTICED = 45.0
"""Seconds: all heads are compared twice a minute."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """With a mongod of its own."""
    with System(tmp_path, env={"gateway": {"DIGEST_INTERVAL": "5"}}) as running:
        yield running


async def backed_up(busy: Traffic) -> None:
    """Its files as of some time ago; since then people have gone on."""
    system = busy.fleet
    assert isinstance(system, System)
    busy.talk(RATE, VOICES)
    await busy.has_said(RATE)
    await asyncio.to_thread(system.mongod.stop)
    await asyncio.to_thread(shutil.copytree, system.mongod.home, system.directory / "backup")
    await asyncio.to_thread(system.mongod.start)
    await busy.all_say(after=time.monotonic())
    await busy.has_said(3 * RATE)
    await busy.hush()
    await busy.all_is_told()


async def restore(system: System, epoch: str) -> None:
    """What a person does, who may forget the last step."""
    await asyncio.to_thread(system.mongod.stop)
    shutil.rmtree(system.mongod.home)
    (system.directory / "backup").rename(system.mongod.home)
    await asyncio.to_thread(system.mongod.start)
    if epoch:
        with MongoClient[dict[str, str]](system.mongod.url) as client:
            client[system.database].meta.update_one({"_id": "epoch"}, {"$set": {"value": epoch}})


@pytest.mark.row(17)
async def test_restored_with_a_new_epoch(system: System, figures: dict[str, str]) -> None:
    async with traffic(system, PEOPLE) as busy:
        await backed_up(busy)
        gone = [asyncio.create_task(one.absence()) for one in busy.everybody]
        # The epoch is set by whoever restores before anybody can come to the database.
        for name in system.processes:
            if not name.startswith("gateway"):
                await system.kill(name)
        await restore(system, "another")
        await system.launch(*(name for name in system.names if not name.startswith("gateway")))
        restored = time.monotonic()
        await asyncio.gather(*gone)
        busy.said.clear()
        busy.talk(RATE, VOICES)
        await busy.all_say(after=restored)
        await busy.hush()
        await busy.agree()
        figures["with a new epoch"] = f"all caches dropped and equal {time.monotonic() - restored:.1f} s later"


@pytest.mark.row(17)
async def test_restored_without_a_new_epoch(system: System, figures: dict[str, str]) -> None:
    async with traffic(system, PEOPLE) as busy:
        await backed_up(busy)
        restored = time.monotonic()
        await restore(system, "")
        gateways = [process for name, process in system.processes.items() if name.startswith("gateway")]
        messages = system.processes["messages-0"]
        for process in (*gateways, messages):
            await eventually(lambda process=process: not process.running, f"{process.name} stops", NOTICED)  # type: ignore[misc]
            assert process.ending.startswith("ended with exit code 1")
            assert "history_lost" in process.log.read_text()
            assert "set a new one" in process.log.read_text()
        figures["without one"] = f"gateways and messages stopped within {time.monotonic() - restored:.1f} s"
