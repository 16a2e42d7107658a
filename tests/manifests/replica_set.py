"""The MongoDB of compose on this machine: three mongods with its options, and its one-shot job."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.credentials import MONGO_HOSTS, SERVICES, write
from deploy.embedded import free_port, mongod_binary
from deploy.processes import Child, stop_all, wait_all_ready
from tests.manifests.sources import ROOT, Document, containers


class Member(Child):
    """One mongod, with the options that compose gives it and its files in a folder; all others reach it at `host`."""

    def __init__(self, number: int, folder: Path, keyfile: Path, through: Callable[[int], int]) -> None:
        super().__init__(f"mongo-{number}", [], {}, folder / "run")
        self.port = free_port()
        self.host = f"127.0.0.1:{through(self.port)}"
        home = folder / self.name
        home.mkdir()
        given = [option for option in containers()[self.name]["command"] if not option.startswith("--bind_ip")]
        options = [option.replace("/tmp/keyfile", str(keyfile)) for option in given]
        here = ["--dbpath", str(home), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        self.argv = [str(mongod_binary()), *options, *here, "--setParameter", "diagnosticDataCollectionEnabled=false"]

    def ready(self) -> bool:
        try:
            with MongoClient[Document](
                "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500
            ) as one:
                return bool(one.admin.command("hello")["ok"])
        except PyMongoError:
            return False


@dataclass
class ReplicaSet:
    """The members, and how they are logged in to."""

    members: list[Member]
    secrets: Path
    urls: dict[str, str]
    """Of the services."""

    @property
    def hosts(self) -> list[str]:
        return [member.host for member in self.members]

    @property
    def root_password(self) -> str:
        return (self.secrets / "mongo-root-password").read_text().strip()

    def initiate(self) -> subprocess.CompletedProcess[str]:
        """The one-shot job."""
        module = containers()["mongo-initiate"]["command"][2]
        argv = [sys.executable, "-m", module, "--secrets", str(self.secrets), *self.hosts]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)

    def primary(self) -> Member:
        """The member that is the primary now."""
        with self.root() as client:
            host = client.admin.command("hello")["primary"]
        return next(member for member in self.members if member.host == host)

    def root(self) -> MongoClient[Document]:
        return MongoClient(self.hosts, replicaSet="guildwire", username="root", password=self.root_password)

    def user(self, service: str) -> MongoClient[Document]:
        return MongoClient(self.urls[service])


@contextmanager
def replica_set(folder: Path, through: Callable[[int], int] = lambda port: port) -> Iterator[ReplicaSet]:
    """Running, and made by the job; `through` makes a way to a member's port, and gives the port where it begins."""
    secrets = folder / "secrets"
    assert write(secrets)
    keyfile = folder / "keyfile"
    script = containers()["mongo-0"]["entrypoint"][2].partition(" && ")[0]
    script = script.replace("/run/secrets", str(secrets)).replace("/tmp/keyfile", str(keyfile))
    subprocess.run(shlex.split(script), check=True)
    members = [Member(number, folder, keyfile, through) for number in range(3)]
    urls = {service: (secrets / f"mongo-url-{service}").read_text().strip() for service in SERVICES}
    for host, member in zip(MONGO_HOSTS, members, strict=True):
        urls = {service: url.replace(host, member.host) for service, url in urls.items()}
    for service, url in urls.items():
        (secrets / f"mongo-url-{service}").chmod(0o600)
        (secrets / f"mongo-url-{service}").write_text(url)
    try:
        for member in members:
            member.start()
        wait_all_ready(members, 60)
        made = ReplicaSet(members, secrets, urls)
        first = made.initiate()
        assert first.returncode == 0, first.stderr
        yield made
    finally:
        for member in members:
            member.kill()
        stop_all(members)
