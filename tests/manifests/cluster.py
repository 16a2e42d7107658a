"""The NATS servers of compose on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.credentials import NATS_HOSTS, PARTS
from deploy.embedded import free_port
from tests.manifests.sources import ROOT, nats_server

CONFIG = ROOT / "deploy" / "nats" / "nats.conf"
USERS = CONFIG.with_name("users.conf")
MADE = ("passwords.conf", "cluster.conf")
"""What it includes besides: beside it each is called so, among the secrets `nats-` and so."""


def include(folder: Path, secrets: Path) -> None:
    """Puts all that the configuration includes into its folder, as the containers see it."""
    (folder / USERS.name).write_bytes(USERS.read_bytes())
    for name in MADE:
        (folder / name).write_bytes((secrets / f"nats-{name}").read_bytes())


@contextmanager
def cluster(folder: Path, secrets: Path) -> Iterator[dict[str, str]]:
    """Three servers of the very configuration, but on ports of this machine; yields the parts' URLs."""
    include(folder, secrets)
    urls = {part: (secrets / f"nats-url-{part}").read_text().strip() for part in PARTS}
    taken: list[int] = []
    for _ in range(3 * len(NATS_HOSTS)):
        taken.append(free_port(taken))
    ports, routes, monitors = taken[0:3], taken[3:6], taken[6:9]
    peers = (folder / "cluster.conf").read_text()
    for other, route in enumerate(routes):
        peers = peers.replace(f"nats-{other}:6222", f"127.0.0.1:{route}")
    (folder / "cluster.conf").write_text(peers)
    with ExitStack() as stack:
        for number, (host, port) in enumerate(zip(NATS_HOSTS, ports, strict=True)):
            urls = {part: url.replace(host, f"127.0.0.1:{port}") for part, url in urls.items()}
            text = CONFIG.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{port}")
            text = text.replace("127.0.0.1:8222", f"127.0.0.1:{monitors[number]}")
            text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[number]}")
            config, log = folder / f"nats-{number}.conf", folder / f"nats-{number}.log"
            config.write_text(text)
            argv = [str(nats_server()), "--config", str(config), "--name", f"nats-{number}", "--log", str(log)]
            process = subprocess.Popen(argv)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        yield urls
