"""The README's example does what it says, also the second time."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.rig import System

PACKAGE = Path(__file__).resolve().parents[2] / "clients/python"


async def test_the_example_runs(system: System) -> None:
    found = re.search(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    assert found is not None
    code = found[1].replace("ws://127.0.0.1:8080/ws", system.url(0)).replace("ws://127.0.0.1:8081/ws", system.url(1))
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 18
    for _ in range(2):
        assert await _printed(code) == "['Hello!']\n"


async def _printed(code: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, err.decode()
    return out.decode()
