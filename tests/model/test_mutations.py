"""Each guard is needed: without it the model finds a violation. Else either the guard or the model is worth nothing."""

from __future__ import annotations

import pytest

from tests.model import mutations, resume_mutations
from tests.model.mutation import Mutation
from tests.model.production import load
from tests.model.profile import Profile
from tests.model.simulation import simulate

_SEEDS = 150


@pytest.mark.parametrize("mutation", [*mutations.ALL, *resume_mutations.ALL], ids=str)
def test_without_this_guard_something_goes_wrong(mutation: Mutation[Profile]) -> None:
    production = load(mutation.edits)
    assert any(simulate(production, mutation.weather, seed) for seed in range(_SEEDS))
