"""Runs every bench, each on a system of its own, and prints a line for each; `python -m bench latency` runs one."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

from bench import affinity, coming_back, durable, latency
from bench.system import System, running

_BENCHES: dict[str, tuple[ModuleType, System]] = {
    "latency": (latency, System()),
    "durable": (durable, System()),
    "coming_back": (coming_back, System()),
    "affinity": (affinity, affinity.SYSTEM),
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(_BENCHES)
    if unknown:
        sys.exit(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(_BENCHES)}")
    for name in names or _BENCHES:
        module, system = _BENCHES[name]
        with running(system) as bench:
            print(f"{name}: {asyncio.run(module.measure(bench))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
