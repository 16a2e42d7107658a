"""Runs every bench and prints a line for each; `python -m bench latency` runs one."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

from bench import coming_back, durable, latency
from bench.system import running

_BENCHES: dict[str, ModuleType] = {"latency": latency, "durable": durable, "coming_back": coming_back}


def main(names: list[str]) -> None:
    unknown = set(names) - set(_BENCHES)
    if unknown:
        sys.exit(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(_BENCHES)}")
    with running() as bench:
        for name in names or _BENCHES:
            print(f"{name}: {asyncio.run(_BENCHES[name].measure(bench))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
