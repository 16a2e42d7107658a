"""The balancer of compose on this machine."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.embedded import free_port
from tests.manifests.sources import ROOT, haproxy

CONFIG = ROOT / "deploy" / "haproxy" / "haproxy.cfg"


@contextmanager
def balancer(folder: Path, servers: Sequence[int]) -> Iterator[int]:
    """The very configuration, but on ports of this machine and before these servers; yields its port."""
    port, admin = free_port(), free_port()
    lines = "\n".join(f"    server gateway-{n} 127.0.0.1:{each}" for n, each in enumerate(servers))
    text, replaced = re.subn(r"^    server-template .*$", lines, CONFIG.read_text(), flags=re.MULTILINE)
    assert replaced == 1
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}").replace("bind :9090", f"bind 127.0.0.1:{admin}")
    # As many as this machine lets a process open.
    file = folder / "haproxy.cfg"
    file.write_text(re.sub(r"^    maxconn .*$", "    maxconn 200", text, flags=re.MULTILINE))
    with (folder / "haproxy.log").open("wb") as log, ExitStack() as stack:
        process = subprocess.Popen([haproxy(), "-db", "-f", file], stdout=log, stderr=log)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        _wait_until_healthy(process, f"http://127.0.0.1:{admin}/healthz")
        yield port


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"haproxy finds no gateway at {url}")
