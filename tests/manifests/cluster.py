"""The NATS servers of compose on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.credentials import NATS_HOSTS
from deploy.embedded import free_port
from tests.manifests.sources import ROOT, nats_server

CONFIG = ROOT / "deploy" / "nats" / "nats.conf"


@contextmanager
def cluster(folder: Path, secrets: Path) -> Iterator[str]:
    """Three servers of the very configuration, but on ports of this machine; yields the URL for clients."""
    (folder / "authorization.conf").write_bytes((secrets / "nats-authorization.conf").read_bytes())
    url = (secrets / "nats-url").read_text().strip()
    taken: list[int] = []
    for _ in range(3 * len(NATS_HOSTS)):
        taken.append(free_port(taken))
    ports, routes, monitors = taken[0:3], taken[3:6], taken[6:9]
    with ExitStack() as stack:
        for number, (host, port) in enumerate(zip(NATS_HOSTS, ports, strict=True)):
            url = url.replace(host, f"127.0.0.1:{port}")
            text = CONFIG.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{port}")
            text = text.replace("127.0.0.1:8222", f"127.0.0.1:{monitors[number]}")
            text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[number]}")
            for other, route in enumerate(routes):
                text = text.replace(f"nats-{other}:6222", f"127.0.0.1:{route}")
            config, log = folder / f"nats-{number}.conf", folder / f"nats-{number}.log"
            config.write_text(text)
            argv = [str(nats_server()), "--config", str(config), "--name", f"nats-{number}", "--log", str(log)]
            process = subprocess.Popen(argv)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        yield url
