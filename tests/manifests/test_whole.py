"""All of compose at once, as processes of this machine: its commands, settings, passwords, servers and balancer.

What Docker itself does is not in it: the image's building, networks, volumes and confinement.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import free_port
from deploy.processes import Process, stop_all, wait_all_ready
from tests.manifests.balancer import balancer
from tests.manifests.cluster import cluster
from tests.manifests.replica_set import ReplicaSet
from tests.manifests.sources import ROOT, SERVICES, containers, image_environment
from tests.secured import overstepped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Container(Process):
    """One container's process, with the secrets in a folder and on a port of its own."""

    def __init__(self, part: str, number: int, folder: Path, secrets: Path) -> None:
        name = f"{part}-{number}"
        (folder / name).write_text(f"{name}\n")
        self.port = free_port()
        here = {"HOST": "127.0.0.1", "ADMIN_HOST": "127.0.0.1", "PORT": str(self.port), "ADMIN_PORT": "0"}
        environment = {**image_environment(), **containers()[part]["environment"]}
        environment = {key: value.replace("/run/secrets", str(secrets)) for key, value in environment.items()}
        argv = [sys.executable, *containers()[part]["command"][1:]]
        super().__init__(name, argv, {**environment, **here, "NAME_FILE": str(folder / name)}, folder / "run")


@pytest.fixture
def gateways(tmp_path: Path, replica_set: ReplicaSet) -> Iterator[list[int]]:
    """The gateways' ports, with all behind them running."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for service, url in replica_set.urls.items():
        (secrets / f"mongo-url-{service}").write_text(url)
    with cluster(tmp_path, replica_set.secrets) as urls:
        for part, url in urls.items():
            (secrets / f"nats-url-{part}").write_text(url)
        services = [Container(part, 0, tmp_path, secrets) for part in SERVICES]
        balanced = [Container("gateway", number, tmp_path, secrets) for number in range(2)]
        try:
            for each in (*services, *balanced):
                each.start()
            wait_all_ready([*services, *balanced], 60)
            yield [each.port for each in balanced]
            assert overstepped(tmp_path / "log") == []
        finally:
            stop_all([*balanced, *services])


def test_two_people_talk_through_the_balancer(gateways: list[int], tmp_path: Path) -> None:
    with balancer(tmp_path, gateways) as port:
        argv = [sys.executable, str(ROOT / "examples" / "two_people.py"), str(port), str(port)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
