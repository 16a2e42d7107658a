"""Guildwire as it is meant to run: three gateways, two replicas of each service, three mongods, three nats-servers.

The servers have the configuration of compose. Between any two of all these stands a link, so that each way can be
slowed down, blocked or cut by itself; only the mongods have one link each, for all who come to it, because MongoDB's
members tell clients where the others are.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

from deploy.processes import wait_all_ready
from tests.faults.crashing import Dooms
from tests.faults.links import Link, Links
from tests.faults.nats_cluster import NatsCluster
from tests.faults.proxy import Proxy
from tests.manifests.replica_set import ReplicaSet, replica_set
from tests.rig import SERVICES, Fleet

GATEWAYS, REPLICAS = 3, 2


class Installation(Fleet):
    """`to_nats[name]` are the ways of that process to the three nodes, `to_mongo` those of everybody to the members.

    What comes to gateways goes through `hints`, and a service may be doomed (`dooms`) at any step of a commit.
    """

    def __init__(
        self,
        directory: Path,
        links: Links,
        mongo: ReplicaSet,
        to_mongo: Sequence[Link],
        env: Mapping[str, Mapping[str, str]],
    ) -> None:
        doomed = {service: [sys.executable, "-m", "tests.faults.crashing", service] for service in SERVICES}
        replicas = dict.fromkeys(SERVICES, REPLICAS)
        super().__init__(directory, gateways=GATEWAYS, replicas=replicas, argv=doomed, env=env)
        self.database = "guildwire"  # the one that the services' users may use
        links.taken.update(self._ports)
        self.dooms = Dooms(directory / "dooms")
        self.env["*"] = {"DOOMS": str(directory / "dooms"), **self.env.get("*", {})}
        self.mongo = mongo
        self.to_mongo = to_mongo
        self.nats = NatsCluster(directory, mongo.secrets, links)
        nodes = [node.port for node in self.nats.nodes]
        self.hints = {
            name: [links.add(Proxy(links, port, seed)) for seed, port in enumerate(nodes)] for name in self.gateways
        }
        services = [name for name in self.names if name not in self.hints]
        self.to_nats: dict[str, Sequence[Link]] = {
            **self.hints,
            **{name: [links.to(port) for port in nodes] for name in services},
        }

    def start_servers(self) -> None:
        self.nats.start()

    def stop_servers(self) -> None:
        self.nats.stop()

    def ways_of(self, name: str) -> dict[str, str]:
        part = name.rpartition("-")[0]
        login = (self.mongo.secrets / f"nats-url-{part}").read_text().partition("@")[0]
        nats = ",".join(f"{login}@127.0.0.1:{link.port}" for link in self.to_nats[name])
        return {"NATS_URL": nats, **({"MONGO_URL": self.mongo.urls[part]} if part in SERVICES else {})}

    @property
    def mongo_url(self) -> str:
        return f"mongodb://root:{self.mongo.root_password}@{','.join(self.mongo.hosts)}/?replicaSet=guildwire"

    async def on_nats_links(self, change: Callable[[Link], None], *names: str) -> None:
        """Between these processes, or all, and every node."""
        links = [link for name in names or self.names for link in self.to_nats[name]]
        await asyncio.gather(*(asyncio.to_thread(change, link) for link in links))

    @property
    def links(self) -> list[Link]:
        """All there are."""
        return [*self.to_mongo, *chain(*self.to_nats.values()), *chain(*self.nats.routes)]

    def mend(self) -> None:
        """Takes back whatever a test has left broken; quick when there is nothing."""
        for name, process in self.processes.items():
            if process.running:
                self.signal(name, signal.SIGCONT)
        for link in self.links:
            link.restore()
        for proxy in (proxy for own in self.hints.values() for proxy in own):
            proxy.forgive()
        self.dooms.lift_all()
        dead_servers = [each for each in (*self.mongo.members, *self.nats.nodes) if not each.running]
        for server in dead_servers:
            server.start()
        wait_all_ready(dead_servers, 60)
        self.launch_now(*(name for name, process in self.processes.items() if not process.running))


@contextmanager
def installation(folder: Path, env: Mapping[str, Mapping[str, str]]) -> Iterator[Installation]:
    """Running, with nobody there yet."""
    with ExitStack() as stack:
        links = stack.enter_context(Links())
        to_mongo: list[Link] = []

        def through(port: int) -> int:
            to_mongo.append(links.to(port))
            return to_mongo[-1].port

        mongo = stack.enter_context(replica_set(folder, through))
        yield stack.enter_context(Installation(folder, links, mongo, to_mongo, env))
