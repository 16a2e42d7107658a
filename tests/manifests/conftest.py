"""What is started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.manifests.replica_set import ReplicaSet
from tests.manifests.replica_set import replica_set as running


@pytest.fixture(scope="package")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with running(tmp_path_factory.mktemp("mongo")) as made:
        yield made
