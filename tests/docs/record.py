"""Plays the story against a system of its own and writes down what came, for the pages. `make examples`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from docs import examples
from tests.docs import story
from tests.docs.placeholders import Placeholders
from tests.rig import System


async def recorded(system: System) -> list[dict[str, Any]]:
    """The steps of the story, as they are each time."""
    return Placeholders().settled((await story.play(system)).steps)


def text_of(steps: list[dict[str, Any]]) -> str:
    """One frame a line, so that a change is seen where it is."""
    lines = []
    for step in steps:
        heard = [json.dumps(each, ensure_ascii=False) for each in step["heard"]]
        members = [f'  "{name}": {json.dumps(step[name], ensure_ascii=False)}' for name in step if name != "heard"]
        events = "[\n   " + ",\n   ".join(heard) + "\n  ]" if heard else "[]"
        lines.append(" {\n" + ",\n".join([*members, f'  "heard": {events}']) + "\n }")
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, System(Path(directory), env=story.ENV) as system:
        steps = asyncio.run(recorded(system))
    examples.PATH.write_text(text_of(steps), encoding="utf-8")


if __name__ == "__main__":
    main()
