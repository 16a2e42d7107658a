"""Three nats-servers in a cluster, of the configuration that compose has; the ways between them are links."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from deploy.credentials import NATS_HOSTS
from deploy.embedded import free_port
from deploy.processes import Child, stop_all, wait_all_ready
from tests.faults.links import Link, Links
from tests.manifests.cluster import CONFIG, include
from tests.manifests.sources import nats_server


class Node(Child):
    """One of them: clients come to `port`, the others to `route`."""

    def __init__(self, number: int, folder: Path, taken: set[int]) -> None:
        super().__init__(f"nats-{number}", [], {}, folder / "run")
        self.number = number
        self.port, self.route, self.monitor = (_another(taken) for _ in range(3))
        self.config = folder / self.name / "nats.conf"
        self.argv = [str(nats_server()), "--config", str(self.config), "--name", self.name]

    def configure(self, routes: list[int], secrets: Path) -> None:
        """`routes` are the ports at which it finds each node, itself included."""
        self.config.parent.mkdir()
        include(self.config.parent, secrets)
        peers = self.config.with_name("cluster.conf")
        text = peers.read_text()
        for other, port in enumerate(routes):
            text = text.replace(f"nats-{other}:6222", f"127.0.0.1:{port}")
        peers.write_text(text)
        text = CONFIG.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{self.port}")
        text = text.replace("127.0.0.1:8222", f"127.0.0.1:{self.monitor}")
        self.config.write_text(text.replace("0.0.0.0:6222", f"127.0.0.1:{self.route}"))

    def ready(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
            return probe.recv(5) == b"INFO "
        return False


class NatsCluster:
    """`routes[a][b]` is the way from node `a` to node `b`."""

    def __init__(self, folder: Path, secrets: Path, links: Links) -> None:
        self.nodes = [Node(number, folder, links.taken) for number in range(len(NATS_HOSTS))]
        self.routes: list[list[Link]] = [[links.to(other.route) for other in self.nodes] for _ in self.nodes]
        for node, routes in zip(self.nodes, self.routes, strict=True):
            ports = [link.port for link in routes]
            found_at = [node.route if number == node.number else port for number, port in enumerate(ports)]
            node.configure(found_at, secrets)

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        wait_all_ready(self.nodes, 30)

    def stop(self) -> None:
        stop_all(self.nodes)

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes)


def _another(taken: set[int]) -> int:
    port = free_port(taken)
    taken.add(port)
    return port
