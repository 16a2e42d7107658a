"""Production's code as it is keeps every promise, in every weather."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.model import profile
from tests.model.production import Production, load
from tests.model.profile import Profile
from tests.model.simulation import simulate

_SEEDS = os.environ.get("MODEL_SEEDS", "")
_SHOWN = 150
"""Last lines of the trace that are shown."""


@pytest.fixture(scope="module")
def production() -> Production:
    return load()


@pytest.mark.parametrize("weather", profile.ALL, ids=lambda weather: weather.name)
def test_all_is_well(production: Production, weather: Profile) -> None:
    first, _, last = (_SEEDS or f"0-{weather.seeds}").partition("-")
    for seed in range(int(first), int(last or int(first) + 1)):
        violation = simulate(production, weather, seed)
        assert violation is None, shortened(str(violation))


def shortened(text: str) -> str:
    """What is wrong, the end of the way to it, and once more what is wrong."""
    what, *trace = text.split("\n")
    return "\n".join([what, *trace[-_SHOWN:], what])


def test_a_run_depends_on_its_seed_alone() -> None:
    """Not even on the order in which sets are walked, which differs from process to process."""
    program = (
        "from tests.model import profile; from tests.model.production import load\n"
        "from tests.model.simulation import Simulation\n"
        "for weather in (profile.STORM, profile.RESUMED):\n"
        "    simulation = Simulation(load(), weather, 1); simulation.run()\n"
        "    for line in sorted(simulation.world.loop.trace): print(*line)"
    )
    command = [sys.executable, "-c", program]
    here, there = (
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True)
        for seed in ("1", "2")
    )
    assert here.stdout.count("\n") > 100
    assert here.stdout == there.stdout
