"""Decodes images from strangers, each in a process of its own that may be killed; few at once, and few that wait.

Not in threads: a thread that hangs in a decoder can't be ended, one that crashes takes the service along, and what it
allocates is the service's. A process costs a tenth of a second, which uploads are rare enough to bear.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from shared.errors import InvalidParams, Unavailable
from shared.settings import Settings
from shared.telemetry import logger

_PROGRAM = str(Path(__file__).with_name("decoder.py"))
_WAITING_PER_WORKER = 8
_HANGS_AFTER = 2.0
"""Times its processor time: by then a process on a busy machine has had it, and one that sleeps has hung."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Encoded images by size; the one of the largest size is always there."""

    type: str
    sizes: dict[int, bytes]


class Decoder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = asyncio.Semaphore(settings.image_workers)
        self._room = settings.image_workers * (1 + _WAITING_PER_WORKER)

    async def decode(self, data: bytes) -> Decoded:
        """Raises InvalidParams with `why` for what is no image we take, Unavailable when too many wait."""
        if self._room <= 0:
            raise Unavailable("Too many images at once; try again.")
        self._room -= 1
        try:
            async with self._workers:
                return _read(await self._run(data))
        finally:
            self._room += 1

    async def _run(self, data: bytes) -> bytes:
        """What the program has answered."""
        limits = str(self._settings.image_seconds), str(self._settings.image_memory)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", _PROGRAM, *limits, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}
        )
        try:
            async with asyncio.timeout(self._settings.image_seconds * _HANGS_AFTER):
                answer, complaint = await process.communicate(data)
        except TimeoutError:
            logger().warning("image_decoder_hung", size=len(data))
            raise Unavailable from None
        finally:
            await _end(process)
        if process.returncode == 0:
            return answer
        if process.returncode is not None and process.returncode < 0:
            logger().warning("image_decoder_killed", signal=-process.returncode, size=len(data))
            raise _refusal("broken", "can't be decoded")
        raise RuntimeError(f"the image decoder failed: {complaint[-500:].decode(errors='replace')}")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _read(answer: bytes) -> Decoded:
    line, _, rest = answer.partition(b"\n")
    head = json.loads(line)
    if "why" in head:
        raise _refusal(head["why"], head["problem"])
    sizes: dict[int, bytes] = {}
    for size, length in head["sizes"].items():
        sizes[int(size)], rest = rest[:length], rest[length:]
    return Decoded("image/webp", sizes)


def _refusal(why: str, problem: str) -> InvalidParams:
    return InvalidParams(f"The image {problem}.", why=why, errors=[{"field": "image", "problem": problem}])
