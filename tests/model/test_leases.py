"""Leases keep their promises in every weather, and each of their guards is needed."""

from __future__ import annotations

import os

import pytest

from tests.model import lease_simulation
from tests.model.lease_mutations import ALL
from tests.model.lease_simulation import Weather, simulate
from tests.model.mutation import Mutation
from tests.model.production import Production, load
from tests.model.test_invariants import shortened

_SEEDS = os.environ.get("MODEL_SEEDS", "0-4")
_SEEDS_TO_CATCH = 60


@pytest.fixture(scope="module")
def production() -> Production:
    return load()


@pytest.mark.parametrize("weather", lease_simulation.ALL, ids=lambda weather: weather.name)
def test_who_is_here_is_shown_online_and_who_is_gone_is_not(production: Production, weather: Weather) -> None:
    first, _, last = _SEEDS.partition("-")
    for seed in range(int(first), int(last or int(first) + 1)):
        violation = simulate(production, weather, seed)
        assert violation is None, shortened(str(violation))


@pytest.mark.parametrize("mutation", ALL, ids=str)
def test_without_this_guard_somebody_is_shown_wrong(mutation: Mutation[Weather]) -> None:
    production = load(mutation.edits)
    assert any(simulate(production, mutation.weather, seed) for seed in range(_SEEDS_TO_CATCH))
