"""The system that is fuzzed: one of its own, which logs all it ever logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.embedded import Mongod
from tests.fuzz.scene import Scene
from tests.rig import System


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Scene]:
    env = {"*": {"LOG_LEVEL": "debug"}}
    with System(tmp_path_factory.mktemp("fuzzed"), mongod, gateways=1, env=env) as system:
        made = Scene(system)
        yield made
        made.close()
