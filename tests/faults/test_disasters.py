"""A database that goes back to what it was, a disk that is full, a clock that jumps.

After a restore all is dropped under a new epoch, and without one nobody goes on. On a full disk mongod ends, and all
else waits for it. What time it is decides nothing about the order of things.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from guildwire import GuildwireError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.faults.crowd import end
from tests.faults.traffic import Someone, Traffic, Trouble, traffic
from tests.rig import System, eventually

PEOPLE, VOICES, RATE = 6, 3, 20
NOTICED = 45.0
"""Seconds: all heads are compared twice a minute."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """With a mongod of its own."""
    with System(tmp_path, env={"gateway": {"DIGEST_INTERVAL": "5"}}, secured=True) as running:
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


HOUR = 3600.0
ROOM = 4 << 20
"""Bytes that are left on the disk."""


@pytest.mark.row(17)
async def test_clock_jumps(tmp_path: Path, figures: dict[str, str]) -> None:
    """That of all parts at once, forth and back, then of some; MongoDB's and NATS's stays."""
    parts = ("gateway", "guilds", "messages", "presence")
    shifts = {part: tmp_path / f"shift-{part}" for part in parts}
    for shift in shifts.values():
        shift.write_text("0")
    argv = {part: [sys.executable, "-m", "tests.faults.shifted", part] for part in parts}
    env = {part: {"SHIFT": str(shift)} for part, shift in shifts.items()}
    jumps = [dict.fromkeys(parts, HOUR), dict.fromkeys(parts, -HOUR), {"gateway": -HOUR}, {"messages": HOUR}, {}]
    with System(tmp_path, argv=argv, env=env, secured=True) as system:
        async with traffic(system, PEOPLE) as busy:
            busy.talk(RATE, VOICES)
            await busy.has_said(RATE)
            for jump in jumps:
                for part, shift in shifts.items():
                    written = shift.with_suffix(".new")
                    written.write_text(str(jump.get(part, 0)))
                    written.replace(shift)
                await busy.all_say(after=time.monotonic(), patience=15)
                await busy.has_said(2 * RATE)
            await busy.all_is_well(figures)
            channels = {"channel_id": {"$in": busy.channels}}
            stored = list(system.db.messages.find(channels, {"created_date": 1, "id": 1}).sort("id", 1))
            jumped = {
                round(abs((b["created_date"] - a["created_date"]).total_seconds()) / HOUR) for a, b in pairwise(stored)
            }
            figures["clock jumps of ± 1 h"] = f"{len(busy.troubles)} requests had to be repeated, order kept"
            assert {1, 2} <= jumped, "the clock did jump"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for mongod."""
    home = tmp_path / "mongod"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=640m", "tmpfs", str(home)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.mark.row(17)
async def test_disk_full(tmp_path: Path, small_disk: Path, figures: dict[str, str]) -> None:
    with System(tmp_path, secured=True) as system:
        async with traffic(system, PEOPLE) as busy:
            busy.talk(RATE, VOICES)
            await busy.has_said(RATE)
            filler = small_disk / "filler"
            free = os.statvfs(small_disk)
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - ROOM)
            large = [asyncio.create_task(fill(one)) for one in busy.everybody]
            flushing = asyncio.create_task(flush(system))
            await eventually(lambda: not system.mongod.running, "mongod ends", 90)
            ended = time.monotonic()
            await eventually(lambda: len(after(ended, busy)) >= VOICES, "all are refused", 20)
            assert all(process.running for process in system.processes.values())
            await flushing
            filler.unlink()
            await asyncio.to_thread(system.mongod.start)
            back = time.monotonic()
            await busy.all_say(after=back)
            await end(large)
            await busy.all_is_well(figures)
            figures["disk full"] = (
                f"{len(after(ended, busy))} requests refused, writes back {busy.said_again(back):.1f} s after mongod"
            )


def after(moment: float, busy: Traffic) -> list[Trouble]:
    """What was asked for after that, and refused."""
    return [trouble for trouble in busy.troubles if trouble.asked > moment]


async def fill(someone: Someone) -> None:
    """Writes what takes room."""
    while True:
        wallpaper = {"wallpaper": secrets.token_hex(7_000)}
        with suppress(GuildwireError):
            await someone.app.client.call("update_settings", {"settings": wallpaper}, patience=0)
        await asyncio.sleep(0)


async def flush(system: System) -> None:
    """Has all of it written to the disk, for as long as there is one."""
    with MongoClient[dict[str, str]](system.mongod.url, serverSelectionTimeoutMS=500) as client:
        while system.mongod.running:
            with suppress(PyMongoError):
                await asyncio.to_thread(client.admin.command, "fsync")
            await asyncio.sleep(0.2)
